"""The routes of routes.py and some more, served by wsgi.py from a process that has its troubles.

    --life S            it ends S seconds after its start, whatever it is doing
    --broken FILE       it ends at once while there is that file
    --take MB           it takes so many MiB of memory when it starts
    --ignore-term       SIGTERM means nothing to it
    --family            it has two children, who ignore SIGTERM; one of them has left the process group
    --deaf N            it closes its listening socket, file descriptor 0, when it has accepted N connections; what
                        comes on those it serves
    --ready DIR         /ready waits at the gate in DIR
    --unready FILE      /ready is answered 503 while there is that file

SIGUSR1 has it write the stacks of its threads to standard error.

    /pid?ms=            its process id, after so many milliseconds
    /token?t=&ms=       the token, after so many milliseconds
    /hold?gate=         its process id, when the gate opens
    /ready              see --ready and --unready
    /poison             it ends
    /leak?mb=&ms=       takes so many MiB more and keeps them, a MiB at a time with so many milliseconds in between;
                        answers the process id
    /jam?s=             keeps a lock for so many seconds that /hello and /pid need
    /sleep?s=           answers its process id after so many seconds

Process ids are lines.
"""

import argparse
import faulthandler
import os
import signal
import socket
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True  # this directory is not its own

import routes
import wsgi

lock = threading.Lock()
leaked = []


def text(body, status="200 OK"):
    return status, [], [f"{body}\n".encode()]


def pid(environ, q):
    with lock:
        pass
    time.sleep(int(q.get("ms", 0)) / 1000)
    return text(os.getpid())


def token(environ, q):
    time.sleep(int(q.get("ms", 0)) / 1000)
    return routes.token(environ, q)


def hold(environ, q):
    routes.wait(environ, q)
    return text(os.getpid())


def ready(environ, q):
    if options.ready:
        routes.wait(environ, {"gate": options.ready})
    if options.unready and os.path.exists(options.unready):
        return text("not yet", "503 Service Unavailable")
    return text("ready")


def poison(environ, q):
    print("poisoned by", environ["REQUEST_METHOD"], file=sys.stderr, flush=True)
    os._exit(3)


def take_one():
    leaked.append(bytearray(os.urandom(1 << 10) * (1 << 10)))  # a MiB, each page of which is written to


def leak(environ, q):
    for _ in range(int(q["mb"])):
        take_one()
        time.sleep(int(q.get("ms", 0)) / 1000)
    return text(os.getpid())


def jam(environ, q):
    with lock:
        time.sleep(float(q["s"]))
    return text(os.getpid())


def sleep(environ, q):
    time.sleep(float(q["s"]))
    return text(os.getpid())


def hello(environ, q):
    with lock:
        pass
    return text("hello")


ROUTES = {f.__name__: f for f in (pid, token, hold, ready, poison, leak, jam, sleep, hello)}


class Deaf:
    """A listening socket that is closed when it has accepted so many connections."""

    def __init__(self, listener, connections):
        self.listener, self.left = listener, connections
        self.turn = threading.Lock()
        if not connections:
            listener.close()

    def accept(self):
        with self.turn:
            if not self.left:
                threading.Event().wait()  # for ever
            accepted = self.listener.accept()
            self.left -= 1
            if not self.left:
                self.listener.close()
            return accepted


def have_family():
    ignoring = ["sh", "-c", 'trap "" TERM; while :; do sleep 600; done']
    for leaves in (False, True):
        subprocess.Popen(ignoring, stdin=subprocess.DEVNULL, start_new_session=leaves)


def main():
    if options.broken and os.path.exists(options.broken):
        sys.exit("it is broken")
    if options.life:
        threading.Timer(options.life, os._exit, [9]).start()
    if options.ignore_term:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if options.family:
        have_family()
    for _ in range(options.take):
        take_one()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    routes.ROUTES.update(ROUTES)
    listener = socket.socket(fileno=0)
    wsgi.serve(listener if options.deaf is None else Deaf(listener, options.deaf), options.threads, routes.application)


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--life", type=float)
    parser.add_argument("--broken")
    parser.add_argument("--take", type=int, default=0)
    parser.add_argument("--ignore-term", action="store_true")
    parser.add_argument("--family", action="store_true")
    parser.add_argument("--deaf", type=int)
    parser.add_argument("--ready")
    parser.add_argument("--unready")
    return parser.parse_args()


if __name__ == "__main__":
    options = parse()
    main()
