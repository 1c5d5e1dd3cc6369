package main

import (
	"fmt"
	"net/http"
	"strings"
)

// scenario is one kind of load: one request, repeated.
type scenario struct {
	label  string
	about  string // what it is, for the table's heading
	method string
	path   string
	body   int // bytes sent with each request
	reply  int // bytes of body that come back

	connections int // 0: as many as the options say
}

func (s scenario) name() string { return s.label }

// connectionsOr is how many connections it has, n if it does not say.
func (s scenario) connectionsOr(n int) int {
	if s.connections > 0 {
		return s.connections
	}
	return n
}

// scenarios has the loads, in the order of the report.
var scenarios = []scenario{
	{label: "small", about: "GET, 200 B reply", method: http.MethodGet, path: "/bytes/200", reply: 200},
	{label: "small-1", about: "GET, 200 B reply, 1 connection", method: http.MethodGet, path: "/bytes/200", reply: 200, connections: 1},
	{label: "small-512", about: "GET, 200 B reply, 512 connections", method: http.MethodGet, path: "/bytes/200", reply: 200, connections: 512},
	{label: "medium", about: "GET, 16 KiB reply", method: http.MethodGet, path: "/bytes/16384", reply: 16 << 10},
	{label: "large", about: "GET, 1 MiB reply", method: http.MethodGet, path: "/bytes/1048576", reply: 1 << 20},
	{label: "post", about: "POST of 8 KiB, 200 B reply", method: http.MethodPost, path: "/discard", body: 8 << 10, reply: 200},
	{label: "upload", about: "POST of 64 KiB, 200 B reply", method: http.MethodPost, path: "/discard", body: 64 << 10, reply: 200},
	{label: "hold", about: "GET answered after 100 ms (a short long-poll)", method: http.MethodGet, path: "/hold/100ms", reply: 200},
}

// browserHeaders make the request of the size that browsers send: with the
// variables a proxy adds, about thirty reach the application.
var browserHeaders = [...][2]string{
	{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
	{"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
	{"Accept-Language", "en-GB,en;q=0.5"},
	{"Accept-Encoding", "gzip, deflate, br, zstd"},
	{"Referer", "http://app.example.org/wiki/WikiStart"},
	{"Upgrade-Insecure-Requests", "1"},
	{"Sec-Fetch-Dest", "document"},
	{"Sec-Fetch-Mode", "navigate"},
	{"Sec-Fetch-Site", "same-origin"},
}

// sessions is how many clients send the requests in turn. A single client with all connections would have to
// wait in servers that limit clients.
const sessions = 64

// cookie returns the session cookie of client n.
const cookie = "trac_session=0123456789abcdef01234567; trac_auth=%032d"

// sampleMark starts the line on which the script reports; wrk's own report is
// for people.
const sampleMark = "SAMPLE "

// script is the wrk script that sends the scenario's request and reports what
// came back as one line of JSON.
func (s scenario) script() string {
	var b strings.Builder
	fmt.Fprintf(&b, "wrk.method = %q\n", s.method)
	for _, h := range browserHeaders {
		fmt.Fprintf(&b, "wrk.headers[%q] = %q\n", h[0], h[1])
	}
	if s.body > 0 {
		fmt.Fprintf(&b, "wrk.body = string.rep(\"x\", %d)\n", s.body)
	}
	fmt.Fprintf(&b, `
local prepared, turn = {}, 0
function init(args)
  for n = 1, %d do
    wrk.headers["Cookie"] = string.format(%q, n)
    prepared[n] = wrk.format()
  end
end

function request()
  turn = turn %% #prepared + 1
  return prepared[turn]
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '%s{"requests":%%d,"micros":%%d,"bytes":%%d,"connect":%%d,"read":%%d,"write":%%d,"status":%%d,"timeout":%%d,"p50":%%d,"p99":%%d}\n',
    summary.requests, summary.duration, summary.bytes,
    e.connect, e.read, e.write, e.status, e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
`, sessions, cookie, sampleMark)
	return b.String()
}
