package exchange

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/pool"
)

// authorizer is the bench's application in its second role.
type authorizer struct {
	*bench
	counted  []Decision
	consents *Consents // nil: of this question alone
}

func (a *authorizer) Target() string { return "" }

func (a *authorizer) Consents() *Consents {
	if a.consents == nil {
		a.consents = new(Consents)
	}
	return a.consents
}

func (a *authorizer) Count(d Decision) { a.counted = append(a.counted, d) }

// ask begins an exchange that an authorizer is asked about, and takes it to the wait for its answer.
func (b *bench) ask() Wait {
	b.t.Helper()
	b.authorizer = &authorizer{bench: b}
	w := b.begin()
	if !b.x.Asking() || !b.x.Request.Authorizer {
		b.t.Fatalf("the application is asked for %q", b.x.Ask.Route)
	}
	return w
}

func (b *bench) wantDecision(d Decision) {
	b.t.Helper()
	if a := b.authorizer; len(a.counted) != 1 || a.counted[0] != d || b.x.Out.Authorizer != d {
		b.t.Errorf("decisions %q, outcome %q, want %q", a.counted, b.x.Out.Authorizer, d)
	}
}

// A request that may pass waits for the gate of the application with nothing held of the
// authorizer, and its body is read only then.
func TestAuthorized(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.method, b.body.Length = "POST", 7
		b.ask()
		b.want(b.output("Variable-REMOTE_USER: jane\nVariable-eppn: jane@example.org\nVariable-HTTP_X: y\nSet-Cookie: a=b\n\n"), Event)
		b.want(b.output("ignored"), Event)
		b.want(b.end(), Body)
		b.wantNotes("quiesce", "release")
		b.wantDecision(Granted)
		if n := b.gate.Snapshot().InUse; n != 0 || b.x.Asking() || b.x.Request.Authorizer || b.x.Ask.Route != "GET any /page" {
			t.Errorf("%d workers in use, asking: %t, %+v", n, b.x.Asking(), b.x.Ask)
		}
		if b.x.Who.User != "jane" || b.x.Out.User != "jane" || b.x.Who.Granted == nil || len(b.header) > 0 {
			t.Errorf("%+v, header %v", b.x.Who, b.header)
		}
		if !strings.Contains(b.log.String(), "HTTP_X") {
			t.Errorf("the log does not tell of a variable that is not granted: %s", b.log.String())
		}
		b.want(b.x.BodyRead(nil), Grant)
		b.want(b.x.Granted(b.gate.Acquire(b.ctx, &b.x.Ask)), Connection)
		if !b.x.Demand.NoReplay {
			t.Error("the POST may be sent again")
		}
		b.send()
		b.output("\n")
		b.want(b.end(), Reply)
		b.want(b.x.Replied(nil), Nothing)
		if o := b.x.Out; o.Status != 200 || o.Attempts != 1 || b.gate.Snapshot().InUse != 0 {
			t.Errorf("%+v", o)
		}
	})
}

// Static files are asked for once the request may pass.
func TestAuthorizedFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.ask()
		b.output("\n")
		b.want(b.end(), Front)
		b.want(b.x.FrontServed(200, 5), Nothing)
		if b.x.Out.Status != 200 || b.x.Out.Authorizer != "granted" {
			t.Errorf("%+v", b.x.Out)
		}
	})
}

// Every answer but 200 is the client's, without what was for the web server.
func TestDenied(t *testing.T) {
	for header, want := range map[string]int{
		"Status: 401\nWWW-Authenticate: Negotiate\n":             401,
		"Status: 302\nLocation: https://idp.example.org/?a=b\n":  302,
		"Location: /login\n":                                     302, // not a local redirect: the client goes there
		"Status: 204\n":                                          204,
		"Status: 500\n":                                          500,
		"Status: 403\nX-Sendfile: /etc/passwd\nVariable-A: b\n":  403,
		"Status: 403\nX-Accel-Redirect: /x\nvariable-lower: b\n": 403,
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.ask()
			b.output(header + "Set-Cookie: s=1\n\nno")
			b.want(b.end(), Reply)
			b.wantDecision(Denied)
			if b.x.Reply.Status != want || b.header.Get("Set-Cookie") != "s=1" {
				t.Errorf("%q: %+v, %v", header, b.x.Reply, b.header)
			}
			for name := range b.header {
				if strings.HasPrefix(name, "Variable-") || strings.HasPrefix(name, "X-") {
					t.Errorf("%q: the client gets %s", header, name)
				}
			}
			b.want(b.x.Replied(nil), Nothing)
			if b.gate.Snapshot().InUse != 0 || b.x.Who.Granted != nil {
				t.Errorf("%q: %+v", header, b.x.Out)
			}
		})
	}
}

// Whatever is not a whole answer refuses. It is asked once more, also about a POST, unless its
// answer has come in part.
func TestUndecided(t *testing.T) {
	cut := &pool.Error{Op: "read", Addr: "unix:/app", Err: io.EOF, Replay: pool.ReplayNever}
	for name, c := range map[string]struct {
		says   []string
		err    error
		status int
		kind   string
	}{
		"cut off before its header":  {nil, cut, 502, "http_response_incomplete"},
		"cut off in its header":      {[]string{"Status: 200 OK\n"}, cut, 502, "http_response_incomplete"},
		"cut off after its header":   {[]string{"Status: 200 OK\n\n"}, cut, 502, "http_response_incomplete"},
		"silent":                     {nil, os.ErrDeadlineExceeded, 504, "http_response_timeout"},
		"no header":                  {[]string{"Fatal error: out of memory\n\n"}, nil, 502, "http_protocol_error"},
		"a message":                  {[]string{"Error: out of memory\n\n"}, nil, 502, "http_protocol_error"},
		"a header that is too large": {[]string{"A: " + strings.Repeat("b", 70<<10)}, nil, 502, "http_response_header_section_size"},
		"ended without a header":     {[]string{""}, nil, 502, "http_response_incomplete"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.method = "POST"
				w := b.ask()
				if w.Until.IsZero() {
					t.Error("there is no limit")
				}
				for _, text := range c.says {
					w = b.output(text)
				}
				if c.err != nil {
					if time.Sleep(time.Minute); errors.Is(c.err, os.ErrDeadlineExceeded) {
						w = b.fails(&pool.Error{Op: "read", Addr: "unix:/app", Err: c.err, Replay: pool.ReplayNever})
					} else {
						w = b.fails(c.err)
					}
				} else if w.For == Event {
					w = b.end()
				}
				b.want(w, Reply)
				b.wantDecision(Failed)
				if want := `sluice; error=` + c.kind + `; details="authorizer"`; b.x.Reply.Status != c.status || b.header.Get("Proxy-Status") != want {
					t.Errorf("%d, %q, want %d, %q", b.x.Reply.Status, b.header.Get("Proxy-Status"), c.status, want)
				}
				if text := string(b.x.Reply.Body); strings.Contains(text, "application") || !strings.Contains(text, "The authorizer") {
					t.Errorf("%q", text)
				}
				if !strings.Contains(b.log.String(), `error="authorizer: `) {
					t.Errorf("log %s", b.log.String())
				}
				b.want(b.x.Replied(nil), Nothing)
			})
		})
	}
}

// The question has no effect, so it may be asked again where the request could not be.
func TestAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.method = "POST"
		b.ask()
		if b.x.Demand.NoReplay {
			t.Error("the question may not be asked again")
		}
		b.busy = false
		b.want(b.fails(&pool.Error{Op: "read", Addr: "unix:/app", Err: io.EOF, Replay: pool.ReplayIdempotent}), Connection)
		b.send()
		b.output("\n")
		b.want(b.end(), Grant)
		b.wantDecision(Granted)
		if b.x.Out.Attempts != 0 {
			t.Errorf("%+v", b.x.Out)
		}
	})
}

// The target of a local redirect is another question; what the first answer gave is forgotten.
func TestRedirectIsAskedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.ask()
		b.output("Variable-A: b\n\n")
		b.want(b.end(), Front)
		b.want(b.x.FrontServed(0, 0), Grant)
		b.want(b.x.Granted(b.gate.Acquire(b.ctx, &b.x.Ask)), Connection)
		b.send()
		b.output("Location: /other\n\n")
		b.want(b.end(), Grant)
		if !b.x.Asking() {
			t.Fatal("the application is asked at once")
		}
		b.want(b.x.Granted(b.gate.Acquire(b.ctx, &b.x.Ask)), Connection)
		b.send()
		b.output("Status: 403\n\n")
		b.want(b.end(), Reply)
		if b.x.Reply.Status != 403 || len(b.authorizer.counted) != 2 || b.x.Out.Authorizer != "denied" {
			t.Errorf("%+v, %v", b.x.Reply, b.authorizer.counted)
		}
	})
}

// The authorizer has its own time, and the application what is left of its own, whatever leads to what.
func TestTimeOfARedirectThatIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.ask()
		b.x.site.Config.Timeouts.Request = config.Duration(time.Hour)
		b.x.site.Config.Timeouts.FirstByte = config.Duration(2 * time.Hour)
		b.output("\n")
		b.want(b.end(), Front)
		b.want(b.x.FrontServed(0, 0), Grant)
		b.want(b.x.Granted(b.gate.Acquire(b.ctx, &b.x.Ask)), Connection)
		b.send()
		end := time.Now().Add(time.Hour)
		b.output("Location: /other\n\n")
		b.want(b.end(), Grant)
		b.want(b.x.Granted(b.gate.Acquire(b.ctx, &b.x.Ask)), Connection)
		b.send()
		time.Sleep(WatchAfter)
		if w := b.fails(os.ErrDeadlineExceeded); time.Until(w.Until) > b.Patience() {
			t.Errorf("the authorizer is waited for until %v from now, want %v", time.Until(w.Until), b.Patience())
		}
		b.output("\n")
		b.want(b.end(), Front)
		b.want(b.x.FrontServed(0, 0), Grant)
		b.want(b.x.Granted(b.gate.Acquire(b.ctx, &b.x.Ask)), Connection)
		b.send()
		time.Sleep(WatchAfter)
		if w := b.fails(os.ErrDeadlineExceeded); !w.Until.Equal(end) {
			t.Errorf("the application is waited for until %v, want %v", w.Until, end)
		}
	})
}

// A client that leaves while the authorizer is asked is no failure of it, and takes no worker of
// the application.
func TestClientLeavesTheAuthorizer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.ask()
		time.Sleep(WatchAfter)
		b.want(b.fails(os.ErrDeadlineExceeded), Event)
		b.leave()
		b.want(b.fails(pool.ErrInterrupted), Nothing)
		if b.x.Out.Status != StatusClientClosed || len(b.authorizer.counted) != 0 {
			t.Errorf("%+v, %v", b.x.Out, b.authorizer.counted)
		}
		b.wantNotes("watch", "quiesce", "abandon", "release")
	})
}

// An interim answer of the authorizer is not the client's.
func TestInterimOfTheAuthorizer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.ask()
		b.want(b.output("Status: 103\nLink: </x>\nVariable-A: b\n\n"), Event)
		b.want(b.output("Status: 200\n\n"), Event)
		b.want(b.end(), Front)
		b.wantNotes("quiesce", "release")
	})
}
