package exchange

import (
	"net/http"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/http1"
	"github.com/sluice-proxy/sluice/bridge/internal/compress"
	"github.com/sluice-proxy/sluice/bridge/internal/content"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// Memory is what an exchange makes the request and the answer in. While nothing of them is there, it
// can be that of another exchange.
type Memory struct {
	Request upstream.Request
	Said    http.Header // the application's header, until it is the client's
	Reply   Answer
	First   []byte // of the content that is relayed
	Rest    *Rest  // of the answer that is relayed

	bodyAt    time.Time // when the driver began to read the body
	route     []byte    // scratch
	variables []cgi.Var // that the authorizer gives

	encoder   *compress.Encoder // of the content that is relayed; nil: it is sent as it is
	encoded   []byte            // an answer that is here whole, compressed
	answer    []byte            // what has come of the answer: headers, and some of the content
	begin     int               // of the header at hand, in answer
	searched  int               // of it, for its end
	header    int               // where the content begins, in answer
	interimAt time.Time         // when the last interim header has come
	resp      cgi.Response
	content   content.Content
	over      bool // the application has ended its answer
	adopted   bool // the client's header was touched by the application's
	surplus   bool // the log was told of it
	failed    bool // the reply is an error's
	unlisted  error
	fileErr   error
	bodyThen  func(x *Exchange, none bool) Wait // once it is known whether there is a body
	doneThen  func(*Exchange) Wait              // once the answer was read to its end
}

const (
	// keepMax is the largest buffer that is kept for the next exchange, in bytes.
	keepMax = 128 << 10
	// usualVars and usualFields are how many meta-variables a browser's request has, and
	// fields an answer, and some more.
	usualVars, usualFields = 40, 16
)

// NewMemory returns memory for one exchange.
func NewMemory() *Memory {
	return &Memory{Request: upstream.Request{Vars: make([]cgi.Var, 0, usualVars)}}
}

// reset forgets everything but the room.
func (m *Memory) reset() {
	clear(m.Request.Vars) // they refer to the client's request
	clear(m.Request.HTTP.Fields)
	m.forgetSaid()
	room := Memory{Said: m.Said, route: m.route[:0], answer: m.answer[:0], encoded: m.encoded[:0]}
	room.Request.Vars, room.Request.HTTP = m.Request.Vars[:0], http1.Request{Fields: m.Request.HTTP.Fields[:0]}
	if cap(room.answer) > keepMax {
		room.answer = nil
	}
	if cap(room.encoded) > keepMax {
		room.encoded = nil
	}
	*m = room
}

// forgetSaid makes room for what a header says. A map keeps the room that it once had.
func (m *Memory) forgetSaid() {
	if m.Said == nil || len(m.Said) > 2*usualFields {
		m.Said = make(http.Header, usualFields)
	}
	clear(m.Said)
}

// Reset forgets everything but the memory, for the next Begin. Inlined, its copy of an
// exchange would be in the frame of a driver, and make the stack of each parked request
// larger.
//
//go:noinline
func (x *Exchange) Reset() {
	x.renewed()
	x.Memory.reset()
	*x = Exchange{Memory: x.Memory}
}

// Lean takes the memory of an exchange that waits for a grant, or for an application that has not
// answered, until Fill. What is made again is made from the same request of the client.
func (x *Exchange) Lean() *Memory {
	m := x.Memory
	m.reset()
	x.Memory, x.lean = nil, true
	return m
}

// Fill gives memory to an exchange that has none.
func (x *Exchange) Fill(m *Memory) { x.Memory = m }

// fatten undoes Lean, before the request is sent.
func (x *Exchange) fatten() error {
	if !x.lean {
		return nil
	}
	x.lean = false
	if x.asking {
		return x.describeQuestion()
	}
	return x.describe(x.driver.Body().Length)
}

// Parked is what must be kept of an exchange that waits for its first grant. All else follows from the
// client's request.
type Parked struct {
	queuedAt time.Time
	upload   time.Duration
}

// Park returns what must be kept of x if it is forgotten while it waits for a grant, until Unpark. ok is
// false if that is more: what an authorizer has said, or what has become of earlier attempts.
func (x *Exchange) Park() (p Parked, ok bool) {
	return Parked{x.Out.QueuedAt, x.Out.Upload}, !x.asking && x.renews == nil && x.Out.Authorizer == "" && x.attempts == 0 && x.redirects == 0
}

// Unpark makes x, which is new, the exchange that p was returned of, and that was begun with the same
// arguments. Who is set.
func (x *Exchange) Unpark(site *Site, client Client, driver Driver, p Parked) {
	x.site, x.client, x.driver, x.app = site, client, driver, site.App
	x.Out.Client, x.Out.User = x.Who.Addr, x.Who.User
	x.setKey()
	x.classify()
	x.known, x.lean = true, true
	x.Out.QueuedAt, x.Out.Upload = p.queuedAt, p.upload
}
