# Lines of JSON with em-http-request, whose time-out of 10 s is shorter than the 15 s between two heartbeats.

require 'em-http-request'
require_relative 'reader'

reader = Reader.new
until reader.is_over
  why = nil
  EM.run do
    connection = EM::HttpRequest.new(reader.url, connect_timeout: 5, inactivity_timeout: 30)
    http = connection.get(head: BEARER.merge('Accept' => 'application/x-ndjson'))
    rest = +''
    http.stream do |piece|
      next unless http.response_header.status == 200

      rest << piece
      while (line = rest.slice!(/\A[^\n]*\n/))
        reader.got(line.chomp.force_encoding('UTF-8'))
      end
    end
    http.callback { why = "the stream ended: HTTP #{http.response_header.status}" and EM.stop }
    http.errback { why = "error: #{http.error}" and EM.stop }
  end
  reader.again(why) unless reader.is_over
end
