# What every reader here does beside its client: it prints what it was given, and remembers how far it has come.
# A line `= JSON` is an object as the client gave it, `! TEXT` something that the client did beside that.

require 'json'

$stdout.sync = true
TOKEN = ENV.fetch('STREAM_TOKEN')
BEARER = { 'Authorization' => "Bearer #{TOKEN}" }.freeze

class Reader
  attr_reader :is_over

  def initialize
    @after = 0
    @is_over = false
    @number = ENV.fetch('STREAM_NUMBER')
    @url = ENV.fetch('STREAM_URL')
  end

  def url
    "#{@url}#{@url.include?('?') ? '&' : '?'}after=#{@after}"
  end

  # Takes an object. One that is no JSON was cut: that raises, and is not remembered.
  def got(text)
    said = JSON.parse(text)
    puts "= #{text}"
    case said['type']
    when 'event' then @after = said[@number]
    when 'gap' then @after = said['to'] unless said['partial']
    when 'cursor' then @after = said['id']
    when 'end' then @is_over = true
    end
  end

  # Says why it has to connect once more by itself, and waits a moment.
  def again(why)
    puts "! again: #{why.to_s.split.join(' ')[0, 150]}"
    sleep 1
  end
end
