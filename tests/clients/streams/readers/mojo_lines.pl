# Lines of JSON with Mojo::UserAgent, whose answers end at 2 GiB unless it is told otherwise.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Mojo::UserAgent;
use Reader;

my $reader = Reader->new;
until ($reader->is_over) {
    my $agent = Mojo::UserAgent->new(inactivity_timeout => 30, connect_timeout => 5, max_response_size => 0);
    my $transaction = $agent->build_tx(GET => $reader->url => {%Reader::BEARER, Accept => 'application/x-ndjson'});
    my $rest = '';
    $transaction->res->content->unsubscribe('read')->on(read => sub {
        $rest .= $_[1];
        # What a proxy says of its own is no line of JSON.
        return if ($transaction->res->code // 0) != 200;
        $reader->got($1) while $rest =~ s/\A([^\n]*)\n//;
    });
    $transaction = $agent->start($transaction);
    my $error = $transaction->error // {message => 'the stream ended'};
    $reader->again(join ' ', grep { defined } $error->{code}, $error->{message}) unless $reader->is_over;
}
