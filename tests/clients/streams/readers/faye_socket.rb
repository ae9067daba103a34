# A WebSocket with faye-websocket.

require 'eventmachine'
require 'faye/websocket'
require_relative 'reader'

reader = Reader.new
until reader.is_over
  why = nil
  EM.run do
    socket = Faye::WebSocket::Client.new(reader.url, [], headers: BEARER)
    socket.on(:message) { |event| reader.got(event.data) }
    socket.on(:error) { |event| why ||= "error: #{event.message}" }
    socket.on(:close) do |event|
      why ||= "closed with #{event.code} #{event.reason}"
      EM.stop
    end
  end
  reader.again(why) unless reader.is_over
end
