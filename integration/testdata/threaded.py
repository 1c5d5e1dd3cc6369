"""A FastCGI responder with a thread per connection, which turns away what it has no thread for.

One thread accepts and hands each connection to a free one of --threads; where none is free it closes the connection at
once, unread. That is what threaded Python servers did for long: their clients see a reset although nothing is broken.
A connection keeps its thread while it is open, used or not, and for --cleanup seconds after it was closed. A thread
notices after --notice seconds that its client has closed the connection, as on a machine that is busy.

The listening socket is file descriptor 0. With --start, "starting" is printed, and nothing happens before so many seconds
have passed. Whoever connects to --stats is sent the counters, as JSON.

    /hello                  "hello\n"
    /once?t=&ledger=&ms=    adds t to the file ledger as soon as the parameters are complete, reads the body, waits
                            ms milliseconds, and answers t (also as X-Nonce), a newline and the body; it says
                            no Content-Length
    /page?ms=               "page\n" after so many milliseconds
    /poll?s=                "polled\n" after so many seconds: a long-poll without news. The counter waiting says how
                            many there are
    /tell?t=                adds t to the news, and answers with its number: the first has 1
    /news?after=            the news after that number, a line each; if there are none, the client is to be held
    /flow?after=            the news after that number, or the last id of Grip-Last or Last-Event-ID, as an event stream that is held;
                            with gone= this program is told at /left when the client is
    /left                   is told that a client is gone, which takes 2 milliseconds; by GET, how many are
"""

import argparse
import json
import os
import queue
import select
import socket
import struct
import threading
import time
import traceback

BEGIN, ABORT, END, PARAMS, STDIN, STDOUT = 1, 2, 3, 4, 5, 6
GET_VALUES, GET_VALUES_RESULT, UNKNOWN_TYPE = 9, 10, 11
COMPLETE, CANT_MPX, UNKNOWN_ROLE = 0, 1, 3
RESPONDER, KEEP_CONN = 1, 1

HEADER = struct.Struct(">BBHHBx")  # version, type, request id, content length, padding length


def record(kind, request_id, content=b""):
    return HEADER.pack(1, kind, request_id, len(content), 0) + content


def end(request_id, status=COMPLETE):
    return record(END, request_id, struct.pack(">IB3x", 0, status))


def pairs(data):
    """Decodes name-value pairs; lengths are one byte, or four with the top bit set."""
    at, out = 0, {}
    while at < len(data):
        lengths = []
        for _ in range(2):
            if data[at] < 0x80:
                lengths.append(data[at])
                at += 1
            else:
                lengths.append(struct.unpack_from(">I", data, at)[0] & 0x7FFFFFFF)
                at += 4
        name, value = data[at : at + lengths[0]], data[at + lengths[0] : at + sum(lengths)]
        out[name.decode("latin-1")] = value.decode("latin-1")
        at += sum(lengths)
    return out


class Connection:
    """One connection: its requests, one after the other. respond answers each, but for its end."""

    def __init__(self, sock, respond):
        self.sock = sock
        self.respond = respond
        self.input = sock.makefile("rb")
        self.id = 0  # of the request under way; 0 is none
        self.keep = False
        self.body_ended = True

    def exactly(self, n):
        data = self.input.read(n)
        if len(data) < n:
            raise EOFError
        return data

    def next_record(self):
        """Returns the next record of the request under way; answers what is about anything else."""
        while True:
            _, kind, request_id, length, padding = HEADER.unpack(self.exactly(HEADER.size))
            content = self.exactly(length + padding)[:length]
            if kind == GET_VALUES:
                self.sock.sendall(record(GET_VALUES_RESULT, 0))  # it knows none of them
            elif request_id == 0:
                self.sock.sendall(record(UNKNOWN_TYPE, 0, struct.pack("B7x", kind)))
            elif kind == BEGIN and self.id:
                self.sock.sendall(end(request_id, CANT_MPX))
            elif kind == BEGIN or request_id == self.id:
                return kind, request_id, content

    def next_request(self):
        """Returns the next request's variables, its body unread, or None after one that was aborted or refused."""
        _, request_id, content = self.next_record()  # without a request there is nothing but BEGIN
        role, flags = struct.unpack_from(">HB", content)
        if role != RESPONDER:
            self.sock.sendall(end(request_id, UNKNOWN_ROLE))
            return None
        self.id, self.keep, self.body_ended = request_id, bool(flags & KEEP_CONN), False
        params = b""
        while True:
            kind, _, content = self.next_record()
            if kind == ABORT:
                self.finish()
                return None
            if kind == PARAMS and not content:
                return pairs(params)
            if kind == PARAMS:
                params += content

    def body(self):
        """Yields the rest of the request's body."""
        while not self.body_ended:
            kind, _, content = self.next_record()
            if kind == ABORT or kind == STDIN and not content:
                self.body_ended = True
            elif kind == STDIN:
                yield content

    def write(self, data):
        for at in range(0, len(data), 65535):
            self.sock.sendall(record(STDOUT, self.id, data[at : at + 65535]))

    def finish(self):
        self.sock.sendall(record(STDOUT, self.id) + end(self.id))
        self.id = 0

    def serve(self):
        """Serves requests until the client wants no more of them, or has gone."""
        while True:
            env = self.next_request()
            if env:
                self.respond(self, env)
                for _ in self.body():  # what is left of it belongs to no other request
                    pass
                self.finish()
            if not self.keep:
                return


def route(conn, env):
    q = dict(kv.split("=", 1) for kv in env.get("QUERY_STRING", "").split("&") if "=" in kv)
    path = env.get("PATH_INFO", "")
    if path == "/hello":
        conn.write(b"Content-Type: text/plain\r\n\r\nhello\n")
    elif path == "/once":
        once(conn, q, env["REQUEST_METHOD"] == "HEAD")
    elif path == "/page":
        time.sleep(float(q["ms"]) / 1000)
        conn.write(b"Content-Type: text/plain\r\n\r\npage\n")
    elif path == "/poll":
        with polls:
            time.sleep(float(q["s"]))
        conn.write(b"Content-Type: text/plain\r\n\r\npolled\n")
    elif path == "/tell":
        with telling:
            news.append(q["t"])
            number = len(news)
        conn.write(b"Content-Type: text/plain\r\n\r\n%d\n" % number)
    elif path == "/news":
        after, last = int(q["after"]), len(news)
        head = "" if after < last else f"Grip-Hold: response\r\nGrip-Channel: news; prev-id={last}\r\nGrip-Timeout: {q.get('timeout', 55)}\r\n"
        conn.write(f"{head}Content-Type: text/plain\r\n\r\n{''.join(line(n) for n in range(after, last))}".encode())
    elif path == "/flow":
        after, last = int(env.get("HTTP_GRIP_LAST", "").partition("last-id=")[2] or env.get("HTTP_LAST_EVENT_ID") or q["after"]), len(news)
        conn.write(
            f"Grip-Hold: stream\r\nGrip-Channel: news; prev-id={last}\r\nGrip-Link: </flow?after={last}>; rel=next; timeout=0\r\n"
            f"{'Grip-Link: </left>; rel=gone' + chr(13) + chr(10) if 'gone' in q else ''}"
            f"Content-Type: text/event-stream\r\n\r\n{''.join(event(n) for n in range(after, last))}".encode()
        )
    elif path == "/left":
        if env["REQUEST_METHOD"] == "POST":
            time.sleep(0.002)
            with telling:
                left.append(env.get("CONTENT_LENGTH"))
        conn.write(f"Content-Type: text/plain\r\n\r\n{len(left)} {sorted(set(map(str, left)))}\n".encode())
    else:
        conn.write(b"Status: 404\r\nContent-Type: text/plain\r\n\r\nno such route\n")


class Polls:
    """Counts those who wait in it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.waiting = 0

    def __enter__(self):
        with self.lock:
            self.waiting += 1

    def __exit__(self, *_):
        with self.lock:
            self.waiting -= 1


polls = Polls()

news = []
left = []  # the lengths of bodies
telling = threading.Lock()


def line(n):
    return f"{n + 1} {news[n]}\n"


def event(n):
    return f"id: {n + 1}\ndata: {news[n]}\n\n"


def once(conn, q, head):
    ledger = os.open(q["ledger"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(ledger, q["t"].encode() + b"\n")
    finally:
        os.close(ledger)
    body = b"".join(conn.body())
    time.sleep(int(q["ms"]) / 1000)
    header = f"Content-Type: application/octet-stream\r\nX-Nonce: {q['t']}\r\n\r\n".encode()
    conn.write(header if head else header + q["t"].encode() + b"\n" + body)


def serve(sock, respond=route, notice=0):
    try:
        with sock:
            conn = Connection(sock, respond)
            with conn.input:
                try:
                    conn.serve()
                except EOFError:
                    time.sleep(notice)
    except OSError:
        pass  # the client has gone
    except Exception:
        traceback.print_exc()


def closed_by_client(sock):
    """Reports whether a client has closed its end of a connection, or the connection is closed."""
    try:
        poll = select.poll()
        poll.register(sock, select.POLLRDHUP)
        return bool(poll.poll(0))
    except (OSError, ValueError):
        return True


class Threads:
    """The threads, and the counters of what became of the connections."""

    def __init__(self, size, cleanup, notice):
        self.size, self.cleanup, self.notice = size, cleanup, notice
        self.work = queue.SimpleQueue()
        self.lock = threading.Lock()  # guards the counters
        self.accepted = self.taken = self.most = self.turned_away = self.unnoticed = 0
        self.open = set()  # the connections that have a thread
        for _ in range(size):
            threading.Thread(target=self.run, daemon=True).start()

    def hand_over(self, sock):
        with self.lock:
            self.accepted += 1
            self.most = max(self.most, self.taken + 1)
            full = self.taken == self.size
            if full:
                self.turned_away += 1
                self.unnoticed += len(self.open) < self.size or any(map(closed_by_client, self.open))
            else:
                self.taken += 1
                self.open.add(sock)
        if full:
            sock.close()
        else:
            self.work.put(sock)

    def run(self):
        while True:
            sock = self.work.get()
            serve(sock, notice=self.notice)
            with self.lock:
                self.open.discard(sock)
            time.sleep(self.cleanup)
            with self.lock:
                self.taken -= 1

    def counters(self):
        with self.lock:
            return {
                "accepted": self.accepted,
                "open": self.taken,
                "most_open": self.most,
                "turned_away": self.turned_away,
                "unnoticed": self.unnoticed,
                "waiting": polls.waiting,
            }


def tell(listener, threads):
    while True:
        sock, _ = listener.accept()
        with sock:
            sock.sendall(json.dumps(threads.counters()).encode())


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--threads", type=int, required=True)
    options.add_argument("--cleanup", type=float, default=0.001)
    options.add_argument("--notice", type=float, default=0)
    options.add_argument("--start", type=float, default=0)
    options.add_argument("--stats", required=True)
    options = options.parse_args()
    if options.start:
        print("starting", flush=True)
        time.sleep(options.start)
    threads = Threads(options.threads, options.cleanup, options.notice)
    if os.path.exists(options.stats):  # of an earlier run, which was killed
        os.unlink(options.stats)
    stats = socket.socket(socket.AF_UNIX)
    stats.bind(options.stats)
    stats.listen()
    threading.Thread(target=tell, args=(stats, threads), daemon=True).start()
    listener = socket.socket(fileno=0)
    while True:
        sock, _ = listener.accept()
        threads.hand_over(sock)


if __name__ == "__main__":
    main()
