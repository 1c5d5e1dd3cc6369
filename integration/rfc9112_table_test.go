//go:build linux

package integration

import (
	"strings"
	"testing"
)

// exchangeCase is what a client sends, followed by a request for /next, and the statuses of
// what it is answered until the connection is closed, by us and by others. If they are
// refused once, what comes after must not be taken for a request.
type exchangeCase struct {
	name, from string // what it is, and what asks for it: a section of RFC 9112, or a server
	text       string
	want       string // from Sluice
	echo       string // what the application was asked first; "": not looked at
	// nginx's (1.22) and lighttpd's (1.4.69), if they answer differently: "none" is a
	// connection that is closed without an answer, "-" one that is not to be looked at. 500
	// is the application's library, which was passed what it does not take.
	nginx, lighttpd string
}

const (
	getHead  = "GET / HTTP/1.1\r\nHost: a\r\n"
	postHead = "POST / HTTP/1.1\r\nHost: a\r\n"
	chunked  = postHead + "Transfer-Encoding: chunked\r\n\r\n"
	nextHead = "GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
)

func get(uri string) string    { return "GET " + uri + " HTTP/1.1\r\nHost: a\r\n\r\n" }
func host(field string) string { return "GET / HTTP/1.1\r\nHost:" + field + "\r\n\r\n" }

var exchangeCases = []exchangeCase{
	// 2.2: message parsing.
	{name: "two requests", from: "9.3.2", text: get("/"), want: "200 200"},
	{name: "an empty line first", from: "2.2", text: "\r\n" + get("/"), want: "200 200", lighttpd: "400"},
	{name: "an empty line between", from: "2.2", text: get("/") + "\r\n", want: "200 200"},
	{name: "an empty line after a body", from: "2.2", text: postHead + "Content-Length: 2\r\n\r\nhi\r\n", want: "200 200"},
	{name: "two empty lines", from: "2.2", text: "\r\n\r\n" + get("/"), want: "400", nginx: "200 200"},
	{name: "bare LF", from: "2.2", text: "GET / HTTP/1.1\nHost: a\n\n", want: "400", nginx: "200 200"},
	{name: "bare LF in the header", from: "2.2", text: "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", want: "400", nginx: "200 200"},
	{name: "bare LF at the header's end", from: "2.2", text: getHead + "\n", want: "400", nginx: "200 200", lighttpd: "200 200"},
	{name: "bare CR in a value", from: "2.2", text: getHead + "X: a\rb\r\n\r\n", want: "400"},
	{name: "bare CR between fields", from: "2.2", text: "GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", want: "400"},
	{name: "CR before CRLF", from: "2.2", text: getHead + "X: a\r\r\n\r\n", want: "400", nginx: "200 200"},
	{name: "whitespace before the first field", from: "2.2", text: "GET / HTTP/1.1\r\n Host: a\r\n\r\n", want: "400"},

	// 2.3: the version.
	{name: "HTTP/1.0", from: "2.3", text: "GET / HTTP/1.0\r\n\r\n", want: "200"},
	{name: "HTTP/1.0, kept", from: "C.2.2", text: "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", want: "200 200", nginx: "200"},
	{name: "HTTP/1.2", from: "2.3", text: "GET / HTTP/1.2\r\nHost: a\r\n\r\n", want: "200 200", lighttpd: "505"},
	{name: "HTTP/2.0", from: "2.3", text: "GET / HTTP/2.0\r\nHost: a\r\n\r\n", want: "505"},
	{name: "HTTP/2's preface", from: "2.3", text: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", want: "505", nginx: "400", lighttpd: "-"},
	{name: "HTTP/0.9", from: "2.3", text: "GET /\r\n", want: "400", nginx: "none"},
	{name: "lower case", from: "2.3", text: "GET / http/1.1\r\nHost: a\r\n\r\n", want: "400"},
	{name: "HTTP/1.10", from: "2.3", text: "GET / HTTP/1.10\r\nHost: a\r\n\r\n", want: "400", nginx: "500 200"},
	{name: "HTTP/1", from: "2.3", text: "GET / HTTP/1\r\nHost: a\r\n\r\n", want: "400", lighttpd: "505"},

	// 3: the request line.
	{name: "two spaces", from: "3", text: "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", want: "400", nginx: "200 200"},
	{name: "a tab", from: "3", text: "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", want: "400", lighttpd: "501"},
	{name: "a space in the target", from: "3", text: get("/a b"), want: "400", lighttpd: "200 200"},
	{name: "a space after the version", from: "3", text: "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", want: "400", nginx: "500 200"},
	{name: "a space before the method", from: "3", text: " GET / HTTP/1.1\r\nHost: a\r\n\r\n", want: "400", lighttpd: "501"},
	{name: "a method that is no token", from: "3.1", text: "G@T / HTTP/1.1\r\nHost: a\r\n\r\n", want: "400", lighttpd: "501"},
	{name: "a method in lower case", from: "3.1", text: "get / HTTP/1.1\r\nHost: a\r\n\r\n", want: "200 200", echo: `get / a:80 ""`, nginx: "400", lighttpd: "501"},
	{name: "a method of one's own", from: "3.1", text: "BREW / HTTP/1.1\r\nHost: a\r\n\r\n", want: "200 200", echo: `BREW / a:80 ""`, lighttpd: "501"},
	{name: "NUL in the target", from: "3.2", text: get("/a\x00b"), want: "400"},
	{name: "DEL in the target", from: "3.2", text: get("/a\x7fb"), want: "400"},
	{name: "UTF-8 in the target", from: "leniency", text: get("/\xc3\xa9"), want: "200 200"},
	{name: "an escaped NUL", from: "nginx", text: get("/a%00b"), want: "400 200", nginx: "400", lighttpd: "400"},
	{name: "a broken escape", from: "3.2", text: get("/100%"), want: "400", lighttpd: "500 200"},
	{name: "an escape that is none", from: "3.2", text: get("/%zz"), want: "400", lighttpd: "500 200"},
	{name: "a broken escape in the query", from: "leniency", text: get("/?100%"), want: "200 200"},

	// 3.2.1 to 3.2.4: forms of the target.
	{name: "a fragment", from: "3.2.1", text: get("/a#b"), want: "400 200", nginx: "200 200", lighttpd: "200 200"},
	{name: "no slash", from: "3.2.1", text: get("a"), want: "400"},
	{name: "an empty first segment", from: "3.2.1", text: get("//b/c"), want: "200 200", echo: `GET //b/c a:80 ""`},
	{name: "above the root", from: "nginx", text: get("/../a"), want: "400 200", nginx: "400", lighttpd: "200 200"},
	{name: "a URL", from: "3.2.2", text: get("http://b:81/x?y"), want: "200 200", echo: `GET /x?y b:81 ""`, lighttpd: "400"},
	{name: "a URL in HTTP/1.0", from: "3.2.2", text: "GET http://b/x HTTP/1.0\r\n\r\n", want: "200", echo: `GET /x b:80 ""`},
	{name: "a URL in capitals", from: "3.2.2", text: get("HTTP://b/x"), want: "200 200", echo: `GET /x b:80 ""`, lighttpd: "400"},
	{name: "a URL without a path", from: "3.2.2", text: get("http://b"), want: "200 200", echo: `GET / b:80 ""`, lighttpd: "400"},
	{name: "a URL without an authority", from: "3.2.2", text: get("http:x"), want: "400 200", nginx: "400", lighttpd: "400"},
	{name: "a URL with a path only", from: "3.2.2", text: get("http:/x"), want: "400 200", nginx: "400", lighttpd: "400"},
	{name: "a URL with an empty authority", from: "3.2.2", text: get("http:///x"), want: "400 200", nginx: "400", lighttpd: "400"},
	{name: "a URL with a user", from: "9110 4.2.4", text: get("http://u@b/"), want: "400 200", nginx: "400", lighttpd: "400"},
	{name: "a URL with a broken port", from: "3.2.2", text: get("http://b:x/"), want: "400"},
	{name: "a URL with a broken address", from: "3.2.2", text: get("http://[::1/"), want: "400"},
	{name: "a URL with a fragment", from: "3.2.2", text: get("http://b/x#y"), want: "400 200", nginx: "200 200", lighttpd: "400"},
	{name: "a URL of another scheme", from: "3.2.2", text: get("unix:/x"), want: "400 200", nginx: "400", lighttpd: "400"},
	{name: "a URL beside a Host that is none", from: "3.2", text: "GET http://b/ HTTP/1.1\r\nHost: a:b\r\n\r\n", want: "400", nginx: "500 200"},
	{name: "CONNECT", from: "3.2.3", text: "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", want: "405 200", nginx: "400", lighttpd: "400"},
	{name: "CONNECT with a path", from: "3.2.3", text: "CONNECT /x HTTP/1.1\r\nHost: a\r\n\r\n", want: "405 200", nginx: "405", lighttpd: "200 200"},
	{name: "OPTIONS *", from: "3.2.4", text: "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", want: "200 200", nginx: "400"},
	{name: "GET *", from: "3.2.4", text: get("*"), want: "400 200", nginx: "400", lighttpd: "400"},

	// 3.2: Host.
	{name: "no Host", from: "3.2", text: "GET / HTTP/1.1\r\n\r\n", want: "400"},
	{name: "two Hosts", from: "3.2", text: getHead + "Host: a\r\n\r\n", want: "400", lighttpd: "200 200"},
	{name: "two Hosts in HTTP/1.0", from: "3.2", text: "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", want: "400"},
	{name: "an empty Host", from: "3.2", text: host(""), want: "400"},
	{name: "a port", from: "3.2", text: host(" a:81"), want: "200 200", echo: `GET / a:81 ""`},
	{name: "an empty port", from: "3.2", text: host(" a:"), want: "200 200", echo: `GET / a:80 ""`},
	{name: "an address", from: "3.2", text: host(" [::1]:81"), want: "200 200", echo: `GET / [::1]:81 ""`},
	{name: "an address without its end", from: "3.2", text: host(" [::1"), want: "400", nginx: "500 200"},
	{name: "an address and something", from: "3.2", text: host(" [::1]x"), want: "400", nginx: "500 200"},
	{name: "two ports", from: "3.2", text: host(" h:80:80"), want: "400", nginx: "500 200"},
	{name: "a port that is none", from: "3.2", text: host(" h:abc"), want: "400", nginx: "500 200"},
	{name: "a port that is too large", from: "3.2", text: host(" h:65536"), want: "400", nginx: "200 200"},
	{name: "a port alone", from: "3.2", text: host(" :80"), want: "400"},
	{name: "a broken escape in Host", from: "3.2", text: host(" %zz"), want: "400", nginx: "500 200"},
	{name: "two names", from: "3.2", text: host(" a, b"), want: "400"},
	{name: "a user in Host", from: "3.2", text: host(" u@a"), want: "400", nginx: "200 200"},
	{name: "a slash in Host", from: "3.2", text: host(" a/b"), want: "400"},

	// 5: fields.
	{name: "a space before the colon", from: "5.1", text: getHead + "X : y\r\n\r\n", want: "400"},
	{name: "a tab before the colon", from: "5.1", text: getHead + "X\t: y\r\n\r\n", want: "400"},
	{name: "no colon", from: "5", text: getHead + "X\r\n\r\n", want: "400", nginx: "200 200"},
	{name: "no name", from: "5", text: getHead + ": y\r\n\r\n", want: "400"},
	{name: "a name that is no token", from: "5", text: getHead + "X(y): z\r\n\r\n", want: "400", nginx: "200 200"},
	{name: "a folded line", from: "5.2", text: getHead + "X: y\r\n z\r\n\r\n", want: "400", lighttpd: "200 200"},
	{name: "a folded line, tab", from: "5.2", text: getHead + "X: y\r\n\tz\r\n\r\n", want: "400", lighttpd: "200 200"},
	{name: "NUL in a value", from: "5.5", text: getHead + "X: a\x00b\r\n\r\n", want: "400"},
	{name: "a control character", from: "5.5", text: getHead + "X: a\x01b\r\n\r\n", want: "400", nginx: "200 200"},
	{name: "DEL in a value", from: "5.5", text: getHead + "X: a\x7fb\r\n\r\n", want: "400", nginx: "200 200"},
	{name: "Latin-1 in a value", from: "5.5", text: getHead + "X: \xe9\r\n\r\n", want: "200 200"},
	{name: "an empty value", from: "5", text: getHead + "X:\r\n\r\n", want: "200 200"},
	{name: "whitespace around a value", from: "5.1", text: postHead + "Content-Length:\t 2 \t\r\n\r\nhi", want: "200 200", echo: `POST / a:80 "hi"`, nginx: "400"},

	// 6: the body.
	{name: "a length", from: "6.2", text: postHead + "Content-Length: 2\r\n\r\nhi", want: "200 200", echo: `POST / a:80 "hi"`},
	{name: "POST without a length", from: "6.3", text: postHead + "\r\n", want: "200 200", echo: `POST / a:80 ""`, lighttpd: "411"},
	{name: "POST of length 0", from: "6.2", text: postHead + "Content-Length: 0\r\n\r\n", want: "200 200", echo: `POST / a:80 ""`},
	{name: "a vertical tab after a length", from: "5.1", text: postHead + "Content-Length: 2\x0b\r\n\r\nhi", want: "400"},
	{name: "a length of GET", from: "6.2", text: getHead + "Content-Length: 2\r\n\r\nhi", want: "200 200", echo: `GET / a:80 "hi"`, lighttpd: "400"},
	{name: "leading zeros", from: "6.2", text: postHead + "Content-Length: 002\r\n\r\nhi", want: "200 200", echo: `POST / a:80 "hi"`},
	{name: "a sign", from: "6.2", text: postHead + "Content-Length: +2\r\n\r\nhi", want: "400"},
	{name: "negative", from: "6.2", text: postHead + "Content-Length: -2\r\n\r\nhi", want: "400"},
	{name: "hexadecimal", from: "6.2", text: postHead + "Content-Length: 0x2\r\n\r\nhi", want: "400"},
	{name: "an empty length", from: "6.2", text: postHead + "Content-Length:\r\n\r\n", want: "400", lighttpd: "411"},
	{name: "more than a length", from: "6.2", text: postHead + "Content-Length: 2 2\r\n\r\nhi", want: "400"},
	{name: "a length that overflows", from: "6.2", text: postHead + "Content-Length: 18446744073709551618\r\n\r\nhi", want: "400"},
	{name: "two lengths", from: "6.3", text: postHead + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi!", want: "400"},
	{name: "one length twice", from: "6.3", text: postHead + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi", want: "400"},
	{name: "a list of lengths", from: "6.3", text: postHead + "Content-Length: 2, 2\r\n\r\nhi", want: "400"},
	{name: "length, then chunked", from: "6.1", text: postHead + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", want: "400"},
	{name: "chunked, then length", from: "6.1", text: postHead + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", want: "400"},
	{name: "chunked in HTTP/1.0", from: "6.1", text: "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", want: "400"},
	{name: "chunked in HTTP/1.0, with a length", from: "6.1", text: "POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", want: "400"},
	{name: "gzip, chunked", from: "6.1", text: postHead + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", want: "501"},
	{name: "chunked, gzip", from: "6.3", text: postHead + "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", want: "501"},
	{name: "identity", from: "6.1", text: postHead + "Transfer-Encoding: identity\r\n\r\n", want: "501"},
	{name: "chunked twice", from: "6.1", text: postHead + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", want: "400", lighttpd: "200 200"},
	{name: "chunked, chunked", from: "6.1", text: postHead + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", want: "501"},
	{name: "an empty Transfer-Encoding", from: "6.1", text: postHead + "Transfer-Encoding:\r\n\r\n", want: "501", lighttpd: "411"},
	{name: "a vertical tab before chunked", from: "6.1", text: postHead + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", want: "400", nginx: "501"},
	{name: "xchunked", from: "6.1", text: postHead + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", want: "501"},
	{name: "Chunked", from: "7", text: postHead + "Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n", want: "200 200"},

	// 7: chunks.
	{name: "chunks", from: "7.1", text: chunked + "2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n", want: "200 200", echo: `POST / a:80 "hi!"`},
	{name: "leading zeros of a chunk", from: "7.1", text: chunked + "0002\r\nhi\r\n000\r\n\r\n", want: "200 200", echo: `POST / a:80 "hi"`},
	{name: "an extension", from: "7.1.1", text: chunked + "2;a=b\r\nhi\r\n0;c\r\n\r\n", want: "200 200", echo: `POST / a:80 "hi"`},
	{name: "an extension in quotes", from: "7.1.1", text: chunked + "2;a=\"b;\\\"\"\r\nhi\r\n0\r\n\r\n", want: "200 200", echo: `POST / a:80 "hi"`},
	{name: "an extension after a space", from: "7.1.1", text: chunked + "2 ;a=b\r\nhi\r\n0\r\n\r\n", want: "200 200", echo: `POST / a:80 "hi"`},
	{name: "a space after a size", from: "7.1.1", text: chunked + "2 \r\nhi\r\n0\r\n\r\n", want: "400", nginx: "200 200", lighttpd: "200 200"},
	{name: "an extension without a name", from: "7.1.1", text: chunked + "2;\r\nhi\r\n0\r\n\r\n", want: "400", nginx: "200 200", lighttpd: "200 200"},
	{name: "NUL in an extension", from: "7.1.1", text: chunked + "2;\x00\r\nhi\r\n0\r\n\r\n", want: "400", nginx: "200 200", lighttpd: "-"},
	{name: "LF in an extension", from: "7.1.1", text: chunked + "2;a\nhi\r\n0\r\n\r\n", want: "400", nginx: "200 200", lighttpd: "200 200"},
	{name: "LF after a size", from: "7.1", text: chunked + "2\nhi\r\n0\r\n\r\n", want: "400", nginx: "200 200"},
	{name: "LF after a chunk", from: "7.1", text: chunked + "2\r\nhi\n0\r\n\r\n", want: "400", nginx: "200 200"},
	{name: "CR after a size", from: "7.1", text: chunked + "2\rhi\r\n0\r\n\r\n", want: "400"},
	{name: "a longer chunk", from: "7.1", text: chunked + "2\r\nhi!\r\n0\r\n\r\n", want: "400"},
	{name: "a prefix of hexadecimals", from: "7.1", text: chunked + "0x2\r\nhi\r\n0\r\n\r\n", want: "400"},
	{name: "a sign of a size", from: "7.1", text: chunked + "+2\r\nhi\r\n0\r\n\r\n", want: "400"},
	{name: "a space before a size", from: "7.1", text: chunked + " 2\r\nhi\r\n0\r\n\r\n", want: "400"},
	{name: "no size", from: "7.1", text: chunked + "\r\nhi\r\n0\r\n\r\n", want: "400"},
	{name: "a size that overflows", from: "7.1", text: chunked + "10000000000000002\r\nhi\r\n0\r\n\r\n", want: "400"},
	{name: "a size of 64 bits", from: "7.1", text: chunked + "fffffffffffffffe\r\nhi\r\n0\r\n\r\n", want: "400"},
	{name: "a trailer", from: "7.1.2", text: chunked + "2\r\nhi\r\n0\r\nX: y\r\n\r\n", want: "200 200", echo: `POST / a:80 "hi"`},
	{name: "Content-Length in a trailer", from: "7.1.2", text: chunked + "2\r\nhi\r\n0\r\nContent-Length: 9\r\n\r\n", want: "200 200", echo: `POST / a:80 "hi"`},
	{name: "a space before a trailer's colon", from: "5.1", text: chunked + "2\r\nhi\r\n0\r\nX : y\r\n\r\n", want: "400", nginx: "200 200", lighttpd: "200 200"},
	{name: "a folded trailer", from: "5.2", text: chunked + "2\r\nhi\r\n0\r\nX: y\r\n z\r\n\r\n", want: "400", nginx: "200 200", lighttpd: "200 200"},
	{name: "LF in a trailer", from: "2.2", text: chunked + "2\r\nhi\r\n0\r\nX: y\n\r\n", want: "400", nginx: "200 200", lighttpd: "-"},
	{name: "LF at a trailer's end", from: "2.2", text: chunked + "2\r\nhi\r\n0\r\n\n", want: "400", nginx: "200 200", lighttpd: "-"},
	{name: "a request in a trailer", from: "7.1.2", text: chunked + "0\r\nGET /smuggled HTTP/1.1\r\n\r\n", want: "400", nginx: "200 200", lighttpd: "200 200"},

	// 9: connections.
	{name: "close", from: "9.6", text: getHead + "Connection: close\r\n\r\n", want: "200"},
	{name: "Close, in a list", from: "9.6", text: getHead + "Connection: x, Close\r\n\r\n", want: "200"},
	{name: "ten requests", from: "9.3.2", text: strings.Repeat(get("/"), 10), want: "200 200 200 200 200 200 200 200 200 200 200"},
	{name: "ten bodies", from: "9.3.2", text: strings.Repeat(chunked+"2\r\nhi\r\n0\r\n\r\n"+postHead+"Content-Length: 1\r\n\r\nx", 5), want: "200 200 200 200 200 200 200 200 200 200 200"},
	{name: "100-continue", from: "9110 10.1.1", text: postHead + "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi", want: "100 200 200", lighttpd: "200 200"},
	{name: "HEAD", from: "9.3.2", text: "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", want: "200 200"},
	{name: "an expectation that is none", from: "9110 10.1.1", text: getHead + "Expect: x\r\n\r\n", want: "417", nginx: "200 200", lighttpd: "200 200"},
	{name: "a malformed second request", from: "9.3.2", text: get("/") + "GET / HTTP/1.1\r\nHost : a\r\n\r\n", want: "200 400"},
}

// TestRFC9112 holds the front to RFC 9112, where it is about servers, and to what others
// refuse. What nginx and lighttpd answer is in the table, too: docs/errors.md says why we
// differ.
func TestRFC9112(t *testing.T) {
	socket := startEcho(t)
	s := startSluice(t, "--backend", "unix:"+socket, "--workers", "16", "--multiplex", "off")
	servers := []struct {
		name, addr string
		want       func(exchangeCase) string
	}{
		{"sluice", strings.TrimPrefix(s.url, "http://"), func(c exchangeCase) string { return c.want }},
		{"nginx", startNginxFastCGI(t, socket), func(c exchangeCase) string { return c.nginx }},
		{"lighttpd", startLighttpd(t, socket), func(c exchangeCase) string { return c.lighttpd }},
	}
	for _, c := range exchangeCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // a malformed body is listened to for half a second
			for _, server := range servers {
				if server.want(c) == "-" {
					continue // it waits for what does not come, or speaks HTTP/2
				}
				answers := converse(t, server.addr, c.text+nextHead)
				var got []string
				for _, a := range answers {
					status, _, _ := strings.Cut(a, " ")
					got = append(got, status)
				}
				if got == nil {
					got = []string{"none"}
				}
				want := server.want(c)
				if want == "" {
					want = c.want
				}
				if strings.Join(got, " ") != want {
					t.Errorf("%s (%s): %q, want %s", server.name, c.from, answers, want)
				}
				if server.name != "sluice" || want[:3] != "200" {
					continue
				}
				if c.echo != "" && answers[0] != "200 "+c.echo {
					t.Errorf("the application was asked %q, want %q", answers[0], c.echo)
				}
				if last := answers[len(answers)-1]; strings.Contains(want, "200 200") && last != `200 GET /next a:80 ""` {
					t.Errorf("the last answer is %q", last)
				}
			}
		})
	}
}
