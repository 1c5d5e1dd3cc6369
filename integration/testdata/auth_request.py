"""An authorizer in HTTP, as nginx's auth_request and oauth2-proxy's /oauth2/auth have it: auth_request.py PORT LOG.

Who has the cookie user=NAME gets 202, others 401, or with ?redirect 302. With ?die the answer is cut off, and with
?hold it holds for two seconds. Each question is written to LOG, one JSON object a line.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_one_question(self):
        with open(sys.argv[2], "a") as log:
            asked = {name.lower(): value for name, value in self.headers.items()}
            print(json.dumps({"line": f"{self.command} {self.path}", **asked}), file=log)
        uri, cookie = self.headers.get("X-Original-URI", ""), self.headers.get("Cookie", "")
        if uri.endswith("?die"):
            self.answer(200, [("X-Auth-Request-User", "jane")], b"Acc", 8)
            self.close_connection = True
        elif cookie.startswith("user=") and uri.endswith("?hold"):
            self.answer(200, [("X-Auth-Request-User", cookie[5:]), ("Cache-Control", "max-age=2")], b"")
        elif cookie.startswith("user="):
            self.answer(202, [("X-Auth-Request-User", cookie[5:]), ("X-Auth-Request-Groups", "staff"), ("Set-Cookie", "renewed=1")], b"Accepted\n")
        elif uri.endswith("?redirect"):
            self.answer(302, [("Location", "/login?rd=" + self.headers["X-Original-URL"])], b"")
        else:
            self.answer(401, [("WWW-Authenticate", "Bearer")], b"log in\n")

    do_GET = do_HEAD = do_POST = handle_one_question

    def answer(self, status, fields, body, length=None):
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header("Content-Length", str(length or len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
