# A WebSocket with Mojo::UserAgent. Its inactivity timeout of 40 s is longer than the 15 s between two heartbeats.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Mojo::IOLoop;
use Mojo::UserAgent;
use Reader;

my $reader = Reader->new;
until ($reader->is_over) {
    my $agent = Mojo::UserAgent->new(inactivity_timeout => 40, connect_timeout => 5);
    my $why;
    $agent->websocket($reader->url => {%Reader::BEARER} => sub {
        my (undef, $transaction) = @_;
        unless ($transaction->is_websocket) {
            my $error = $transaction->error // {message => 'no WebSocket'};
            $why = join ' ', grep { defined } 'refused:', $error->{code}, $error->{message};
            return Mojo::IOLoop->stop;
        }
        # `text` is given as it came, `message` decoded.
        $transaction->on(text => sub { $reader->got($_[1]) });
        $transaction->on(finish => sub { $why = "closed with $_[1]"; Mojo::IOLoop->stop });
    });
    Mojo::IOLoop->start;
    $reader->again($why // 'nothing was said') unless $reader->is_over;
}
