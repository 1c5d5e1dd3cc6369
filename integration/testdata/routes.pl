#!/usr/bin/perl
# The routes of this package (see doc.go) with FCGI.pm: WORKERS processes that
# accept on file descriptor 0, or plain CGI where that is no listening socket.
use strict;
use warnings;
use FCGI;

my $request = FCGI::Request();

if ($request->IsFastCGI) {
    for (2 .. $ENV{WORKERS} // 4) {
        last unless fork;
    }
}

# gate opens one of the two FIFOs that a test steers a request with.
sub gate {
    my ($q, $end, $mode) = @_;
    open my $fh, $mode, "$q->{gate}/$end" or die "gate: $!";
    return $fh;
}

# pass waits for one byte; the end of the test (EOF) lets all pass.
sub pass { sysread $_[0], my $byte, 1 }

my %route = (
    hello  => sub { print "Content-Type: text/plain\r\n\r\nhello\n" },
    params => sub {
        print "Content-Type: text/plain\r\n\r\n";
        print "$_=$ENV{$_}\n" for sort keys %ENV;
    },
    token   => sub { my ($q) = @_; print "Content-Type: text/plain\r\n\r\n$q->{t}" },
    status  => sub { my ($q) = @_; print "Status: $q->{code}\r\n\r\n" },
    cookies => sub { print "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Type: text/plain\r\n\r\n" },
    short   => sub { print "Content-Type: text/plain\r\nContent-Length: 1000\r\n\r\n0123456789" },
    early   => sub { print "Content-Type: text/plain\r\n\r\nearly\n" },
    body    => sub {
        require Digest::SHA; # here, because as a CGI program this starts for every request
        my $sum = Digest::SHA->new(256);
        my $length = 0;
        while ((my $n = read STDIN, my $data, 65536) > 0) {
            $length += $n;
            $sum->add($data);
        }
        printf "Content-Type: text/plain\r\n\r\ncontent_length=%s\nlength=%d\nsha256=%s\n",
            $ENV{CONTENT_LENGTH} // '', $length, $sum->hexdigest;
    },
    echo => sub {
        # fcgiwrap reads no answer before it has written the whole body.
        my $size = $request->IsFastCGI ? 65536 : $ENV{CONTENT_LENGTH};
        print "Content-Type: application/octet-stream\r\n\r\n";
        while (read STDIN, my $data, $size) { print $data }
    },
    download => sub {
        my ($q) = @_;
        my $block = join '', map { chr(($_ * 31 + ($_ >> 8)) & 255) } 0 .. 65535;
        print "Content-Type: application/octet-stream\r\nContent-Length: $q->{n}\r\n\r\n";
        for (my $n = $q->{n}; $n > 0; $n -= 65536) {
            print $n < 65536 ? substr($block, 0, $n) : $block;
        }
    },
    stream => sub {
        my ($q) = @_;
        my $go = gate($q, 'go', '<');
        my $type = $q->{kind} eq 'events' ? 'text/event-stream' : 'text/plain';
        print "Content-Type: $type\r\n";
        print "X-Accel-Buffering: no\r\n" if $q->{kind} eq 'accel';
        print "\r\n";
        for my $i (0 .. $q->{n} - 1) {
            print "data: $i\n\n";
            $request->IsFastCGI ? $request->Flush : STDOUT->flush;
            pass($go);
        }
    },
    works => sub { # on, after its answer
        my ($q) = @_;
        print "Content-Type: text/plain\r\n\r\nanswered\n";
        $request->Finish;
        sleep $q->{s};
    },
    wait => sub {
        my ($q) = @_;
        my $go = gate($q, 'go', '<');
        syswrite gate($q, 'in', '>'), 'i';
        pass($go);
        print "Content-Type: text/plain\r\n\r\nwaited\n";
    },
    stderr => sub {
        my ($q) = @_;
        my $line = ('e' x 1023) . "\n";
        for (my $n = $q->{n}; $n > 0; $n -= 1024) { print STDERR $line }
        print "Content-Type: text/plain\r\n\r\nafter the flood\n";
    },
    die => sub {
        my ($q) = @_;
        my $body = $q->{at} eq 'body';
        print $body ? "Content-Type: text/plain\r\n\r\nthe beginning of" : 'Content-Type: text/pl';
        $request->IsFastCGI ? $request->Flush : STDOUT->flush;
        pass(gate($q, 'go', '<')) if $body;
        kill KILL => $$;
    },
);

while ($request->Accept >= 0) {
    my %q = map { split /=/, $_, 2 } split /&/, $ENV{QUERY_STRING} // '';
    my ($name) = ($ENV{PATH_INFO} // '') =~ m{^/(\w+)};
    my $serve = $route{$name // ''};
    if ($serve) {
        $serve->(\%q);
    } else {
        print "Status: 404\r\nContent-Type: text/plain\r\n\r\nno such route\n";
    }
}
