#!/usr/bin/perl
# The authorizer of authorizer.c with FCGI.pm: WORKERS processes that accept on file descriptor 0.
use strict;
use warnings;
use FCGI;

my ($hold, $workers) = @ENV{qw(HOLD WORKERS)}; # FCGI.pm replaces the environment
my $request = FCGI::Request();

for (2 .. $workers) {
    last unless fork;
}

while ($request->Accept >= 0) {
    if ($ENV{FCGI_ROLE} ne 'AUTHORIZER' or read(STDIN, my $body, 1) > 0) {
        print "Status: 500\r\nContent-Type: text/plain\r\n\r\nrole $ENV{FCGI_ROLE}\n";
        next;
    }
    if ($ENV{QUERY_STRING} =~ /hold/) {
        open my $fh, '<', $hold or die "$hold: $!";
        flock $fh, 1;
    }
    print STDERR "deciding about $ENV{REQUEST_URI}\n" if $ENV{QUERY_STRING} =~ /say/;
    if ($ENV{QUERY_STRING} =~ /die/) {
        print "Status: 200 OK\r\nVariable-REMOTE_USER: nobody\r\n\r\n";
        $request->Flush;
        require POSIX;
        POSIX::_exit(1);
    }
    if (($ENV{HTTP_COOKIE} // '') !~ /user=(.*)/) {
        print "Status: 302 Found\r\nLocation: /login?to=$ENV{REQUEST_URI}\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n",
            "Variable-SECRET: s\r\nContent-Type: text/html\r\n\r\n<p>log in\n";
        next;
    }
    my $saw = join '/', map { $_ // '' } @ENV{qw(CONTENT_LENGTH PATH_INFO SCRIPT_NAME)};
    print "Status: 200 OK\r\nVariable-REMOTE_USER: $1\r\nVariable-AUTH_TYPE: cookie\r\nVariable-Shib-Session-ID: _1\r\n",
        "Variable-SAW: $ENV{REQUEST_METHOD} $saw\r\nVariable-HTTP_HOST: forged\r\nVariable-SCRIPT_NAME: /forged\r\n\r\nwelcome\n";
}
