# What routes.pl uses of FCGI.pm, over SCGI.pm: with this directory in @INC, routes.pl speaks
# SCGI. The listening socket is file descriptor 0.
package FCGI;
use strict;
use warnings;
use IO::Socket::UNIX;
use SCGI;

sub Request {
    open my $listener, '+<&', 0 or die "fd 0: $!"; # STDIN becomes the body
    bless $listener, 'IO::Socket::UNIX';
    return bless { scgi => SCGI->new($listener, blocking => 1) };
}

sub IsFastCGI { 1 }

sub Accept {
    my ($self) = @_;
    $self->Finish;
    my $request = $self->{request} = $self->{scgi}->accept or return -1;
    return $self->Accept unless eval { $request->read_env }; # whoever connects to see whether it listens
    %ENV = %{ $request->env };
    my $body = '';
    read $request->connection, $body, $ENV{CONTENT_LENGTH} if $ENV{CONTENT_LENGTH};
    close STDIN; # one with a descriptor cannot become one without
    open STDIN,  '<',  \$body               or die "STDIN: $!";
    open STDOUT, '>&', $request->connection or die "STDOUT: $!";
    return 0;
}

sub Flush { STDOUT->flush }

sub Finish {
    my ($self) = @_;
    my $request = delete $self->{request} or return;
    close STDOUT;
    $request->close;
}

1;
