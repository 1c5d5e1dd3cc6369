"""A FastCGI responder with --threads threads for a WSGI application: that of routes.py, unless another is given to serve.

Each thread accepts connections on file descriptor 0 and keeps one as long as it is open.
"""

import argparse
import socket
import sys
import threading

sys.dont_write_bytecode = True  # this directory is not its own

import routes
import threaded


class Input:
    """The body of a request."""

    def __init__(self, conn):
        self.parts = conn.body()
        self.buffer = b""

    def read(self, n):
        while len(self.buffer) < n:
            part = next(self.parts, b"")
            if not part:
                break
            self.buffer += part
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data


def responder(application):
    """Returns what answers a request of threaded.Connection with the application."""

    def respond(conn, env):
        head = b""

        def start_response(status, headers):
            nonlocal head
            lines = [f"Status: {status}"] + [f"{k}: {v}" for k, v in headers] + ["", ""]
            head = "\r\n".join(lines).encode("latin-1")

        for data in application({**env, "wsgi.input": Input(conn)}, start_response):
            conn.write(head + data)
            head = b""
        if head:
            conn.write(head)

    return respond


def serve(listener, threads, application):
    """Serves until the process ends."""
    respond = responder(application)

    def run():
        while True:
            sock, _ = listener.accept()
            threaded.serve(sock, respond)

    for _ in range(threads - 1):
        threading.Thread(target=run, daemon=True).start()
    run()


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--threads", type=int, required=True)
    options = options.parse_args()
    serve(socket.socket(fileno=0), options.threads, routes.application)


if __name__ == "__main__":
    main()
