package Reader;

# What every reader here does beside its client: it prints what it was given, and remembers how far it has come.
# A line `= JSON` is an object as the client gave it, `! TEXT` something that the client did beside that.

use strict;
use warnings;
use JSON::PP ();

$| = 1;
our ($URL, $TOKEN, $NUMBER) = @ENV{qw(STREAM_URL STREAM_TOKEN STREAM_NUMBER)};
our %BEARER = (Authorization => "Bearer $TOKEN");

sub new { bless {after => 0, is_over => 0}, shift }
sub is_over { shift->{is_over} }
sub url { my $self = shift; $URL . ($URL =~ /\?/ ? '&' : '?') . "after=$self->{after}" }

# Takes an object in UTF-8. One that is no JSON was cut: that dies, and is not remembered.
sub got {
    my ($self, $text) = @_;
    my $said = JSON::PP::decode_json($text);
    print "= $text\n";
    if ($said->{type} eq 'event') { $self->{after} = $said->{$NUMBER} }
    elsif ($said->{type} eq 'gap' && !$said->{partial}) { $self->{after} = $said->{to} }
    elsif ($said->{type} eq 'cursor') { $self->{after} = $said->{id} }
    elsif ($said->{type} eq 'end') { $self->{is_over} = 1 }
}

# Says why it has to connect once more by itself, and waits a moment.
sub again {
    my ($self, $why) = @_;
    $why =~ s/\s+/ /g;
    print '! again: ', substr($why, 0, 150), "\n";
    sleep 1;
}

1;
