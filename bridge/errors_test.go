package bridge

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// What applications do wrong, and what the client is told.
func TestBadAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		script fcgitest.Script
		status int
		kind   string
		kept   int // connections
	}{
		"EOF before header":      {fcgitest.EOFBeforeHeader, 502, errIncomplete, 0},
		"EOF in header":          {fcgitest.EOFInHeader, 502, errIncomplete, 0},
		"EOF in body at once":    {fcgitest.EOFInBody, 502, errIncomplete, 0},
		"END without STDOUT":     {fcgitest.EndWithoutStdout, 502, errIncomplete, 1},
		"STDERR only":            {fcgitest.StderrOnly, 502, errIncomplete, 1},
		"header without end":     {fcgitest.HeaderWithoutEnd, 502, errIncomplete, 1},
		"wrong request id":       {fcgitest.WrongRequestID, 502, errProtocol, 0},
		"request id 0":           {fcgitest.RequestIDZero, 502, errProtocol, 0},
		"unknown type":           {fcgitest.UnknownType, 502, errProtocol, 0},
		"management record":      {fcgitest.Management, 502, errProtocol, 0},
		"not FastCGI":            {fcgitest.BadVersion, 502, errProtocol, 0},
		"END of 7 bytes":         {fcgitest.BadEndLength, 502, errProtocol, 0},
		"unknown status":         {fcgitest.BadEndStatus, 502, errProtocol, 0},
		"unknown role":           {fcgitest.Refuse(fcgitest.UnknownRole), 502, errProtocol, 1},
		"cannot multiplex":       {fcgitest.Refuse(fcgitest.CantMpxConn), 502, errProtocol, 0},
		"1 MB header":            {fcgitest.HugeHeader(1 << 20), 502, errHeaderSize, 0},
		"header over 64 KiB":     {fcgitest.HugeHeader(64 << 10), 502, errHeaderSize, 0},
		"no colon":               {fcgitest.Answer("Fatal error: none\nHello\n\n"), 502, errProtocol, 0},
		"NUL in a value":         {fcgitest.Answer("X-A: a\x00b\n\nHello"), 502, errProtocol, 0},
		"status 99":              {fcgitest.Answer("Status: 99\n\nHello"), 502, errProtocol, 0},
		"status 100 alone":       {fcgitest.Answer("Status: 100 Continue\n\n"), 502, errIncomplete, 1},
		"control character":      {fcgitest.Answer("X-A: a\x1bb\n\nHello"), 502, errProtocol, 0},
		"two lengths":            {fcgitest.Answer("Content-Length: 5\nContent-Length: 6\n\nHello"), 502, errProtocol, 0},
		"length that is no word": {fcgitest.Answer("Content-Length: five\n\nHello"), 502, errProtocol, 0},
		"too short":              {fcgitest.Answer("Content-Length: 6\n\nHello"), 502, errIncomplete, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{}, tc.script)
				re := r.get("/")
				r.wantError(re, tc.status, tc.kind)
				if strings.Contains(re.body, "Hello") || re.header.Get("X-Page") != "" || re.header.Get("X-Filler") != "" {
					t.Errorf("something of the application's answer got through: %v %q", re.header, re.body)
				}
				r.wantKept(tc.kept)
				if !strings.Contains(r.log.String(), "error_type="+tc.kind) {
					t.Errorf("the log does not tell:\n%s", r.log)
				}
			})
		})
	}
}

// What applications do that is odd and must not matter.
func TestOddAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		script fcgitest.Script
		kept   int
	}{
		"padded records":       {fcgitest.PaddedRecords, 1},
		"a byte at a time":     {fcgitest.ByteAtATime, 1},
		"records of one byte":  {fcgitest.ByteRecords, 1},
		"close after end":      {fcgitest.CloseAfterEnd, 1}, // nobody looks before the next request
		"STDOUT after END":     {fcgitest.StdoutAfterEnd, 0},
		"two ENDs":             {fcgitest.TwoEnds, 0},
		"slow answer":          {fcgitest.AnswerAfter(59*time.Second, fcgitest.Page), 1},
		"header of 60 KiB":     {fcgitest.HugeHeader(60 << 10), 1},
		"both streams, padded": {fcgitest.SplitAt(11), 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{}, tc.script)
				re := r.get("/")
				r.wantPage(re)
				if re.header.Get("X-Page") != "1" || re.header.Get("Proxy-Status") != "" {
					t.Errorf("header %v", re.header)
				}
				time.Sleep(time.Second) // it may end later than its answer
				r.wantKept(tc.kept)
			})
		})
	}
}

// What the connection to the application may come to.
func TestUnreachable(t *testing.T) {
	failing := func(err error) func(context.Context, string, string) (net.Conn, error) {
		return func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "unix", Err: err}
		}
	}
	for name, tc := range map[string]struct {
		dial   func(context.Context, string, string) (net.Conn, error)
		status int
		kind   string
		after  time.Duration
	}{
		"refused":     {failing(syscall.ECONNREFUSED), 502, errRefused, 0},
		"no socket":   {failing(fs.ErrNotExist), 502, errUnavailable, 0},
		"no right":    {failing(syscall.EACCES), 502, errUnavailable, 0},
		"no route":    {failing(syscall.EHOSTUNREACH), 502, errUnavailable, 0},
		"no backlog":  {failing(syscall.EAGAIN), 503, errLimit, 3 * time.Second},
		"no answer":   {never, 504, errDialTimeout, 2 * time.Second},
		"unspecified": {failing(errors.New("out of luck")), 502, errUnavailable, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := startRig(t, Config{ApplicationConfig: ApplicationConfig{Timeouts: ConnectionTimeouts{Dial: Duration(2 * time.Second)}}, ApplicationHooks: ApplicationHooks{dial: tc.dial}})
				re := r.get("/")
				r.wantError(re, tc.status, tc.kind)
				if re.after != tc.after {
					t.Errorf("after %v, want %v", re.after, tc.after)
				}
				r.wantKept(0)
				if strings.Contains(re.body, "/run") || strings.Contains(re.body, "unix") {
					t.Errorf("the client is told of the inside: %q", re.body)
				}
				if !strings.Contains(r.log.String(), "unix:/run/app.sock") && tc.status != 503 {
					t.Errorf("the log does not name the address:\n%s", r.log)
				}
			})
		})
	}
}

// never is a dial that nobody answers.
func never(ctx context.Context, _, _ string) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestQueueFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1, Queue: QueueConfig{Size: 1}}}, fcgitest.AnswerAfter(time.Second, fcgitest.Page))
		first := r.start("GET", "/1", nil)
		second := r.start("GET", "/2", nil)
		third := r.get("/3")
		r.wantError(third, 503, errLimit)
		if third.after != 0 {
			t.Errorf("refused after %v", third.after)
		}
		if s := r.b.Snapshot().Gate; s.InUse != 1 || s.Waiting != 1 || s.Lanes["short"].Refused["full"] != 1 {
			t.Errorf("gate %+v, want 1 in use, 1 waiting, 1 refused", s)
		}
		r.wantPage(first())
		r.wantPage(second())
		if o := r.outcome(); o.Queued != time.Second {
			t.Errorf("the second waited for %v, want 1s", o.Queued)
		}
		if n := r.peer.MostOpen(); n != 1 {
			t.Errorf("%d connections at once to one worker", n)
		}
	})
}

func TestQueueTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1, Queue: QueueConfig{Timeout: Duration(700 * time.Millisecond)}}}, fcgitest.AnswerAfter(time.Second, fcgitest.Page))
		first := r.start("GET", "/1", nil)
		second := r.get("/2")
		r.wantError(second, 503, errLimit)
		if second.after != 700*time.Millisecond {
			t.Errorf("refused after %v, want 700ms", second.after)
		}
		if n := len(r.peer.Requests()); n != 1 {
			t.Errorf("the application was sent %d requests, want 1", n)
		}
		r.wantPage(first())
	})
}

func TestFirstByteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{Timeouts: TimeoutsConfig{FirstByte: Duration(5 * time.Second)}}}, fcgitest.SilentForever)
		re := r.get("/")
		r.wantError(re, 504, errTimeout)
		if re.after != 5*time.Second {
			t.Errorf("after %v, want 5s", re.after)
		}
		// The application is at work still: its worker is taken until Abandoned is over.
		time.Sleep(30*time.Second - time.Nanosecond)
		synctest.Wait()
		if s := r.b.Snapshot(); s.Abandoned != 1 || s.Gate.InUse != 1 || s.Pool.Instances[0].Zombies != 1 {
			t.Errorf("snapshot %+v, want an abandoned answer that holds its slot", s)
		}
		time.Sleep(time.Nanosecond)
		r.wantKept(0)
	})
}

// STDERR is no answer: it does not keep the client waiting for ever.
func TestFirstByteTimeoutDespiteStderr(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{Timeouts: TimeoutsConfig{FirstByte: Duration(5 * time.Second)}}}, fcgitest.Each(func(s *fcgitest.Session, r *fcgitest.Request) {
			for {
				s.Send(fcgitest.Record(fcgitest.Stderr, r.ID, []byte("still busy\n")))
				s.HoldFor(time.Second)
			}
		}))
		re := r.get("/")
		r.wantError(re, 504, errTimeout)
		if re.after != 5*time.Second {
			t.Errorf("after %v, want 5s", re.after)
		}
	})
}

func TestBetweenBytesTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{Timeouts: TimeoutsConfig{BetweenBytes: Duration(5 * time.Second)}}},
			fcgitest.SlowBody(2, 4*time.Second), fcgitest.SlowBody(2, 6*time.Second))
		re := r.get("/")
		if re.err != nil || re.body != "line 0\nline 1\n" || re.after != 8*time.Second {
			t.Errorf("%q, %v after %v", re.body, re.err, re.after)
		}
		time.Sleep(time.Minute) // the connection is closed
		re = r.get("/")
		r.wantAborted(re, errTimeout)
		if want := 5*time.Second + gatherFor; re.body != "" || re.after != want {
			t.Errorf("%q after %v, want nothing, %v", re.body, re.after, want)
		}
		time.Sleep(time.Second) // then it says more, and is cut off
		r.wantKept(0)
	})
}

func TestRequestTimeout(t *testing.T) {
	for name, tc := range map[string]struct {
		script fcgitest.Script
		check  func(*rig, reply)
	}{
		"before the header": {fcgitest.SilentForever, func(r *rig, re reply) { r.wantError(re, 504, errTimeout) }},
		"in the body":       {fcgitest.SlowBody(100, time.Second), func(r *rig, re reply) { r.wantAborted(re, errTimeout) }},
		"in an event stream": {fcgitest.Ticks(100, time.Second), func(r *rig, re reply) {
			r.wantAborted(re, errTimeout)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{SiteConfig: SiteConfig{Timeouts: TimeoutsConfig{Request: Duration(10 * time.Second)}}}, tc.script)
				re := r.get("/")
				tc.check(r, re)
				if re.after != 10*time.Second {
					t.Errorf("after %v, want 10s", re.after)
				}
				time.Sleep(30 * time.Second) // Timeouts.Abandoned
				r.wantKept(0)
			})
		})
	}
}

// An error must not reach a HEAD request with a body.
func TestErrorOfHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, fcgitest.EOFBeforeHeader, fcgitest.Hello)
		re := r.do("HEAD", "/", nil)
		if re.status != http.StatusBadGateway || re.body != "" || re.err != nil {
			t.Errorf("%d %q %v", re.status, re.body, re.err)
		}
		r.wantPage(r.get("/"))
	})
}

// After Close everybody is refused, and told so.
func TestClosedBridge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, fcgitest.Hello)
		r.wantPage(r.get("/"))
		r.b.Close()
		r.wantError(r.get("/"), 503, errUnavailable)
		if n := r.peer.Open(); n != 0 {
			t.Errorf("%d connections open", n)
		}
	})
}
