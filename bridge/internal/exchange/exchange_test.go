package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/http1"
	"github.com/sluice-proxy/sluice/bridge/internal/lines"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/upstream"
	"github.com/sluice-proxy/sluice/bridge/upstream/scgi"
)

// bench is a client, a driver, a lease and an application for one exchange. Whatever the
// exchange asks for is noted, and nothing waits: the tests report what has happened.
type bench struct {
	t    *testing.T
	x    *Exchange
	gate *admission.Gate
	log  strings.Builder

	method string
	ctx    context.Context
	leave  context.CancelFunc
	header http.Header
	body   BodyState

	authorizer *authorizer // nil: there is none
	question   []cgi.Var   // that it is asked

	fresh, shared, busy, unread bool // of the lease
	notes                       []string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	cfg := admission.Defaults(4)
	gate, err := admission.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, gate: gate, method: "GET", header: make(http.Header), body: BodyState{Inline: true}, fresh: true}
	b.ctx, b.leave = context.WithCancel(t.Context())
	t.Cleanup(func() {
		gate.Close()
		b.leave()
	})
	return b
}

// begin begins the exchange, and takes it to the wait for the first event.
func (b *bench) begin() Wait {
	b.t.Helper()
	var site config.Site
	if err := site.Complete(); err != nil {
		b.t.Fatal(err)
	}
	b.x = New()
	s := &Site{Config: &site, Log: slog.New(slog.NewTextHandler(&b.log, nil)), App: b, Open: func() error { return nil }}
	if b.authorizer != nil {
		s.Authorizer = b.authorizer
	}
	w := b.x.Begin(s, b, b)
	b.want(w, Grant)
	w = b.x.Granted(b.gate.Acquire(b.ctx, &b.x.Ask))
	b.want(w, Connection)
	return b.send()
}

// send leases a connection, and sends the request.
func (b *bench) send() Wait {
	b.t.Helper()
	b.busy = true
	b.want(b.x.Leased(b, nil), Send)
	return b.x.Sent(nil)
}

func (b *bench) want(w Wait, f For) {
	b.t.Helper()
	if w.For != f {
		b.t.Fatalf("it waits for %d, want %d; outcome %+v; %s", w.For, f, b.x.Out, b.log.String())
	}
}

func (b *bench) wantNotes(want ...string) {
	b.t.Helper()
	if got := strings.Join(b.notes, ", "); got != strings.Join(want, ", ") {
		b.t.Errorf("it has asked for %s, want %s", got, strings.Join(want, ", "))
	}
}

// output and end are what the application sends.
func (b *bench) output(text string) Wait {
	return b.x.Happened(upstream.Event{Kind: upstream.Output, Data: []byte(text)}, nil)
}

func (b *bench) end() Wait {
	b.busy = false
	return b.x.Happened(upstream.Event{Kind: upstream.End}, nil)
}

func (b *bench) fails(err error) Wait { return b.x.Happened(upstream.Event{}, err) }

func (b *bench) note(format string, args ...any) {
	b.notes = append(b.notes, fmt.Sprintf(format, args...))
}

// Client.
func (b *bench) Context() context.Context                                      { return b.ctx }
func (b *bench) Negotiates() http.Header                                       { return nil }
func (b *bench) Method() string                                                { return b.method }
func (b *bench) Path() string                                                  { return "/page" }
func (b *bench) HTTP10() bool                                                  { return false }
func (b *bench) BodyLength() int64                                             { return b.body.Length }
func (b *bench) Identify(*cgi.Client)                                          {}
func (b *bench) SetKey(*admission.Request, *cgi.Client)                        {}
func (b *bench) Classify(r *admission.Request, s []byte) []byte                { r.Route = "GET any /page"; return s }
func (b *bench) Vars(dst []cgi.Var, _ *cgi.Client, _ int64) ([]cgi.Var, error) { return dst, nil }
func (b *bench) HTTP(*http1.Request, *cgi.Client, int64) error                 { return nil }
func (b *bench) Guarded() bool                                                 { return b.authorizer != nil }

func (b *bench) AuthorizerVars(dst []cgi.Var, _ *cgi.Client) ([]cgi.Var, error) {
	return append(append(dst, cgi.Var{Name: "REQUEST_METHOD", Value: b.method}), b.question...), nil
}

func (b *bench) AuthorizerHTTP(*http1.Request, *cgi.Client, string) error { return nil }
func (b *bench) GrantFields(*cgi.Client, http.Header, bool)               {}

func (b *bench) IsLongPoll() bool                { return false }
func (b *bench) PrefersJSON() bool               { return false }
func (b *bench) FindTarget(location string) bool { b.note("find %s", location); return true }

func (b *bench) Redirect()                          { b.note("redirect") }
func (b *bench) Gone(target string)                 { b.note("gone %s", target) }
func (b *bench) Continue()                          { b.note("continue") }
func (b *bench) Header() http.Header                { return b.header }
func (b *bench) TakeHeader(http.Header) http.Header { return nil }
func (b *bench) Interim(status int, _ http.Header)  { b.note("interim %d", status) }
func (b *bench) PassesSendfile() bool               { return false }
func (b *bench) Authorizer() bool                   { return false }
func (b *bench) ErrorLog() io.Writer                { return nil }

// Driver.
func (b *bench) Now() time.Time      { return time.Now() }
func (b *bench) Watch()              { b.note("watch") }
func (b *bench) Interruption() error { return context.Cause(b.ctx) }
func (b *bench) Quiesce()            { b.note("quiesce") }
func (b *bench) Abandon(h *Hold)     { b.note("abandon"); h.release() }
func (b *bench) Body() BodyState     { return b.body }
func (b *bench) CloseFile()          { b.note("close file") }

// Lease.
func (b *bench) Addr() string        { return "unix:/app" }
func (b *bench) Fresh() bool         { return b.fresh }
func (b *bench) Shared() bool        { return b.shared }
func (b *bench) AtWork() bool        { return b.busy }
func (b *bench) Spoke() bool         { return false }
func (b *bench) RequestUnread() bool { return b.unread }
func (b *bench) ProbeServing()       { b.note("probe") }
func (b *bench) NoteUnread()         { b.note("note unread") }
func (b *bench) AbandonUnread() *pool.Error {
	return &pool.Error{Op: "read", Addr: "unix:/app", Err: pool.ErrRequestUnread, Replay: pool.ReplayIdempotent}
}
func (b *bench) MarkAbandoned() {}
func (b *bench) Release()       { b.note("release") }

// Application.
func (b *bench) Codec() upstream.Codec        { return scgi.Codec{} }
func (b *bench) Patience() time.Duration      { return 3 * time.Second }
func (b *bench) CountReplay(err *pool.Error)  { b.note("replay") }
func (b *bench) NoteRefused(reason, _ string) { b.note("refused %s", reason) }
func (b *bench) Stderr(path, inst string) lines.Source {
	return lines.NewLog(slog.New(slog.DiscardHandler), "").Source(slog.Attr{}, slog.Attr{})
}
func (b *bench) Resumes() bool        { return false }
func (b *bench) NoteResumes() bool    { return true }
func (b *bench) Processes() Processes { return NoProcesses{} }

// A page goes its way without anything that waits by itself: one goroutine reports all.
func TestPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		w := b.begin()
		b.want(w, Event)
		if d := time.Until(w.Until); d != WatchAfter {
			t.Errorf("the first wait is of %v", d)
		}
		b.want(b.output("Content-Type: text/plain\n\nhel"), Event)
		b.want(b.output("lo"), Event)
		b.want(b.end(), Reply)
		if b.x.Reply.Status != 200 || string(b.x.Reply.Body) != "hello" || b.header.Get("Content-Length") != "5" {
			t.Errorf("%+v, header %v", b.x.Reply, b.header)
		}
		b.wantNotes("quiesce", "release") // before the client is sent anything
		b.want(b.x.Replied(nil), Nothing)
		if b.x.Out.Aborted || b.gate.Snapshot().InUse != 0 {
			t.Errorf("%+v, %d workers in use", b.x.Out, b.gate.Snapshot().InUse)
		}
	})
}

// An answer that takes long is relayed, and what is held goes to the Rest.
func TestRelayedAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.begin()
		b.want(b.output("Content-Type: text/plain\n\nfirst"), Event)
		time.Sleep(GatherFor)
		b.want(b.fails(os.ErrDeadlineExceeded), Relay)
		if string(b.x.First) != "first" || b.gate.Snapshot().InUse != 1 {
			t.Errorf("%q, %d workers in use", b.x.First, b.gate.Snapshot().InUse)
		}
		var out collected
		rest := b.x.Rest
		rest.Begin(&out)
		rest.Until()
		if over, err := rest.Happened(upstream.Event{Kind: upstream.Output, Data: []byte(", second")}, nil); over || err != nil {
			t.Fatalf("over: %v, %v", over, err)
		}
		rest.Until()
		b.busy = false
		if over, err := rest.Happened(upstream.Event{Kind: upstream.End}, nil); !over || err != nil {
			t.Fatalf("over: %v, %v", over, err)
		}
		if h := rest.Over(nil); h != nil || out.String() != ", second" || !out.closed || out.err != nil {
			t.Errorf("%v, %q, closed: %v, %v", h, &out, out.closed, out.err)
		}
		b.want(b.x.Relayed(b.x.Ended(13)), Nothing)
		if n := b.gate.Snapshot().InUse; n != 0 {
			t.Errorf("%d workers in use", n)
		}
	})
}

// An answer is complete with its last chunk, however the application ends, and whether or not it has
// been waited for in between.
func TestRelayedAnswerAndEndAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.begin()
		b.want(b.output("Content-Type: text/plain\nTransfer-Encoding: chunked\n\n"), Event)
		time.Sleep(GatherFor)
		b.want(b.fails(os.ErrDeadlineExceeded), Relay)
		var out collected
		rest := b.x.Rest
		rest.Begin(&out)
		rest.Until()
		if over, err := rest.Happened(upstream.Event{Kind: upstream.Output, Data: []byte("5\r\nhello\r\n0\r\n\r\n")}, nil); over || err != nil {
			t.Fatalf("over: %v, %v", over, err)
		}
		b.busy = false
		over, err := rest.Happened(upstream.Event{}, &pool.Error{Err: io.EOF})
		if !over || err != nil {
			t.Fatalf("over: %v, %v", over, err)
		}
		if h := rest.Over(err); h != nil || out.String() != "hello" || !out.closed || out.err != nil {
			t.Errorf("%v, %q, closed: %v, %v", h, &out, out.closed, out.err)
		}
	})
}

type collected struct {
	strings.Builder
	closed bool
	err    error
}

func (c *collected) CloseWrite(err error) { c.closed, c.err = true, err }

// What is done after each kind of failure, of a method that may be repeated and of one that
// may not.
func TestAfterAFailure(t *testing.T) {
	failed := func(r pool.Replay, full bool) error {
		return &pool.Error{Op: "read", Addr: "unix:/app", Err: io.EOF, Replay: r, Full: full}
	}
	for name, c := range map[string]struct {
		err       error
		get, post For
	}{
		"not run":               {failed(pool.ReplaySafe, false), Connection, Connection},
		"not run, and full":     {failed(pool.ReplaySafe, true), Pause, Pause},
		"perhaps run":           {failed(pool.ReplayIdempotent, false), Connection, Reply},
		"perhaps run, and full": {failed(pool.ReplayIdempotent, true), Pause, Reply},
		"run":                   {failed(pool.ReplayNever, false), Reply, Reply},
		"unusable":              {&appError{ErrorProtocol, io.EOF}, Reply, Reply},
	} {
		for method, want := range map[string]For{"GET": c.get, "POST": c.post} {
			t.Run(name+" "+method, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBench(t)
					b.method = method
					b.begin()
					b.busy = false
					w := b.fails(c.err)
					b.want(w, want)
					if w.For == Pause {
						time.Sleep(time.Until(w.Until))
						w = b.x.Paused(nil)
						b.want(w, Connection)
					}
					if w.For == Connection {
						b.send()
						b.output("\n\n")
						w = b.end()
					}
					b.want(w, Reply)
					b.want(b.x.Replied(nil), Nothing)
					if n := b.gate.Snapshot().InUse; n != 0 {
						t.Errorf("%d workers in use", n)
					}
				})
			})
		}
	}
}

// A client that leaves is noticed while the application is silent. The worker stays charged:
// the hold is abandoned, and not given back.
func TestClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.begin()
		b.wantNotes()
		time.Sleep(WatchAfter)
		b.want(b.fails(os.ErrDeadlineExceeded), Event)
		b.wantNotes("watch")
		b.leave()
		b.want(b.fails(pool.ErrInterrupted), Nothing)
		b.wantNotes("watch", "quiesce", "abandon", "release")
		if !b.x.Out.Aborted || b.x.Out.Status != StatusClientClosed {
			t.Errorf("%+v", b.x.Out)
		}
	})
}

// An answer that ends too early becomes a 502, or is cut: never a complete one.
func TestTruncated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.begin()
		b.output("Content-Length: 10\n\nshort")
		b.want(b.end(), Reply)
		if b.x.Reply.Status != 502 || b.header.Get("Proxy-Status") != "sluice; error=http_response_incomplete" {
			t.Errorf("%+v, header %v", b.x.Reply, b.header)
		}
		b = newBench(t)
		b.begin()
		b.output("Content-Length: 10\n\nshort")
		time.Sleep(GatherFor)
		b.want(b.fails(os.ErrDeadlineExceeded), Relay)
		b.busy = false
		b.x.Rest.Begin(new(collected))
		b.x.Rest.Over(io.ErrUnexpectedEOF)
		b.want(b.x.Relayed(b.x.Ended(5)), Nothing)
		if !b.x.Out.Aborted {
			t.Errorf("%+v", b.x.Out)
		}
	})
}

// A request that is refused by the gate has taken nothing.
func TestRefusedByTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.begin()
		refusal := &admission.Refusal{Reason: admission.Stalled, RetryAfter: 7 * time.Second}
		x := New()
		b.want(x.Begin(b.x.site, b, b), Grant)
		w := x.Granted(admission.Ticket{}, fmt.Errorf("refused: %w", refusal))
		if w.For != Reply || x.Reply.Status != 503 || b.header.Get("Retry-After") != "7" || !errors.Is(x.Out.Err, refusal) {
			t.Errorf("it waits for %d: %+v, header %v", w.For, x.Reply, b.header)
		}
		b.wantNotes("refused stalled")
	})
}

// A request that the application is seen not to read is sent elsewhere if it may be, and waits
// on if it may not, or if the application reads it after all.
func TestUnreadRequest(t *testing.T) {
	for name, c := range map[string]struct {
		method string
		reads  time.Duration // 0: never
		want   For
		notes  []string
	}{
		"idempotent":  {"GET", 0, Connection, []string{"watch", "probe", "quiesce", "release", "replay"}},
		"once only":   {"POST", 0, Event, []string{"watch", "probe", "note unread"}},
		"read late":   {"GET", unreadAfter, Event, []string{"watch", "probe"}},
		"read sooner": {"GET", unreadAfter / 2, Event, []string{"watch", "probe"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.method, b.unread, b.fresh = c.method, true, false
				began := time.Now()
				w := b.begin()
				for w.For == Event && w.Until.Sub(began) <= unreadAfter {
					time.Sleep(time.Until(w.Until))
					b.unread = c.reads == 0 || time.Since(began) < c.reads
					b.busy = false // so that it is given back, and not abandoned
					w = b.fails(os.ErrDeadlineExceeded)
				}
				b.want(w, c.want)
				b.wantNotes(c.notes...)
			})
		})
	}
}
