"""The routes of this package (see doc.go) as a WSGI application, for uWSGI."""

import hashlib
import os


def query(environ):
    return dict(kv.split("=", 1) for kv in environ.get("QUERY_STRING", "").split("&") if "=" in kv)


def gate_pass(go):
    os.read(go, 1)  # one byte, or the end of the test (EOF)


def read(environ):
    """Yields the body, as WSGI bounds it: by CONTENT_LENGTH."""
    left = int(environ.get("CONTENT_LENGTH") or 0)
    while left > 0:
        data = environ["wsgi.input"].read(min(left, 65536))
        if not data:
            return
        left -= len(data)
        yield data


def hello(environ, q):
    return "200 OK", [], [b"hello\n"]


def params(environ, q):
    lines = [f"{k}={v}\n" for k, v in environ.items() if isinstance(v, str)]
    return "200 OK", [], [line.encode("latin-1") for line in lines]


def token(environ, q):
    return "200 OK", [], [q["t"].encode()]


def status(environ, q):
    return f"{q['code']} As Asked", [], []


def cookies(environ, q):
    return "200 OK", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")], []


def short(environ, q):
    return "200 OK", [("Content-Length", "1000")], [b"0123456789"]


def early(environ, q):
    return "200 OK", [], [b"early\n"]


def body(environ, q):
    total, length = hashlib.sha256(), 0
    for data in read(environ):
        length += len(data)
        total.update(data)
    text = f"content_length={environ.get('CONTENT_LENGTH', '')}\nlength={length}\nsha256={total.hexdigest()}\n"
    return "200 OK", [], [text.encode()]


def echo(environ, q):
    return "200 OK", [], [b"".join(read(environ))]


def download(environ, q):
    def blocks(n):
        block = bytes((i * 31 + (i >> 8)) & 255 for i in range(65536))
        while n > 0:
            yield block[:n]
            n -= len(block)

    return "200 OK", [("Content-Length", q["n"])], blocks(int(q["n"]))


def stream(environ, q):
    def records():
        go = os.open(f"{q['gate']}/go", os.O_RDONLY)
        try:
            for i in range(int(q["n"])):
                yield f"data: {i}\n\n".encode()
                gate_pass(go)
        finally:
            os.close(go)

    headers = []
    if q["kind"] == "events":
        headers.append(("Content-Type", "text/event-stream"))
    if q["kind"] == "accel":
        headers.append(("X-Accel-Buffering", "no"))
    return "200 OK", headers, records()


def wait(environ, q):
    go = os.open(f"{q['gate']}/go", os.O_RDONLY)
    entered = os.open(f"{q['gate']}/in", os.O_WRONLY)
    os.write(entered, b"i")
    os.close(entered)
    gate_pass(go)
    os.close(go)
    return "200 OK", [], [b"waited\n"]


ROUTES = {f.__name__: f for f in (hello, params, token, status, cookies, short, early, body, echo, download, stream, wait)}


def application(environ, start_response):
    name = (environ.get("PATH_INFO", "") + "/").split("/")[1]
    if name not in ROUTES:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"no such route\n"]
    code, headers, out = ROUTES[name](environ, query(environ))
    if not any(k == "Content-Type" for k, _ in headers):
        headers.append(("Content-Type", "text/plain"))
    start_response(code, headers)
    return out
