"""A WSGI application of slow pages, for servers with threads. PAGES_STATS is a unix socket that tells counters, as JSON.

    /page?ms=   "page\n" after so many milliseconds
    /tab?ms=    the same; whoever has a session cookie waits for its lock first, and holds it meanwhile
    /poll?s=    "polled\n" after so many seconds: a long-poll without news. The counter waiting says how many there are
"""

import collections
import json
import os
import socket
import threading
import time

lock = threading.Lock()  # guards what follows
waiting = 0
sessions = collections.defaultdict(threading.Lock)


def poll(seconds):
    global waiting
    with lock:
        waiting += 1
    time.sleep(seconds)
    with lock:
        waiting -= 1


def tab(cookie, seconds):
    if not cookie:
        return time.sleep(seconds)
    with lock:
        session = sessions[cookie]
    with session:
        time.sleep(seconds)


def application(environ, start_response):
    q = dict(kv.split("=", 1) for kv in environ.get("QUERY_STRING", "").split("&") if "=" in kv)
    answer = b"page\n"
    if environ["PATH_INFO"] == "/poll":
        poll(float(q["s"]))
        answer = b"polled\n"
    elif environ["PATH_INFO"] == "/tab":
        tab(environ.get("HTTP_COOKIE"), float(q["ms"]) / 1000)
    else:
        time.sleep(float(q["ms"]) / 1000)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]


def tell():
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.environ["PAGES_STATS"])
    listener.listen()
    while True:
        sock, _ = listener.accept()
        with sock:
            sock.sendall(json.dumps({"waiting": waiting}).encode())


threading.Thread(target=tell, daemon=True).start()
