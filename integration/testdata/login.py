"""A WSGI application that logs people in as Trac does, for uWSGI: it leaves that to the web server.

/login wants REMOTE_USER, answers 500 without it, and else sets the cookie trac_auth and sends the browser back; every
other page says who is known by that cookie, or by REMOTE_USER, and what it was told of the log-in.
"""

import secrets
from http.cookies import SimpleCookie

known = {}  # users by cookie


def application(environ, start_response):
    user = environ.get("REMOTE_USER")
    if environ["PATH_INFO"] == "/login":
        if not user:
            start_response("500 Internal Server Error", [("Content-Type", "text/plain")])
            return [b"Authentication information not available. Please refer to the installation documentation.\n"]
        key = secrets.token_hex(16)
        known[key] = user
        start_response("302 Found", [("Location", environ.get("SCRIPT_NAME", "") + "/wiki"), ("Set-Cookie", f"trac_auth={key}; Path=/; HttpOnly"), ("Content-Type", "text/plain")])
        return [b"logged in\n"]
    cookie = SimpleCookie(environ.get("HTTP_COOKIE", "")).get("trac_auth")
    user = user or (known.get(cookie.value) if cookie else None) or "anonymous"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{user} {environ.get('AUTH_TYPE', '-')} {'seen' if 'HTTP_AUTHORIZATION' in environ else '-'}\n".encode("latin-1")]
