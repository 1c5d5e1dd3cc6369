#!/usr/bin/perl
# A program as CGI::Fast's manual has it: one process, which serves one request at a time.
# With --once it ends after each.
use strict;
use warnings;
use CGI::Fast;

while (my $q = CGI::Fast->new) {
    select(undef, undef, undef, 0.05);
    print "Content-Type: text/plain\r\n\r\n$$\n";
    last if @ARGV;
}
