package pool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// What may be used again, and what never.
func TestPoison(t *testing.T) {
	type test struct {
		script fcgitest.Script
		kept   bool
	}
	for name, tc := range map[string]test{
		"good answer":          {fcgitest.Hello, true},
		"padded records":       {fcgitest.PaddedRecords, true},
		"a byte at a time":     {fcgitest.ByteAtATime, true},
		"records of one byte":  {fcgitest.ByteRecords, true},
		"END without STDOUT":   {fcgitest.EndWithoutStdout, true},
		"STDERR only":          {fcgitest.StderrOnly, true},
		"overloaded":           {fcgitest.Refuse(fcgitest.Overloaded), true},
		"unknown role":         {fcgitest.Refuse(fcgitest.UnknownRole), true},
		"cannot multiplex":     {fcgitest.Refuse(fcgitest.CantMpxConn), false},
		"unknown status":       {fcgitest.BadEndStatus, false},
		"STDOUT after END":     {fcgitest.StdoutAfterEnd, false},
		"two ENDs":             {fcgitest.TwoEnds, false},
		"wrong request id":     {fcgitest.WrongRequestID, false},
		"request id 0":         {fcgitest.RequestIDZero, false},
		"unknown type":         {fcgitest.UnknownType, false},
		"management record":    {fcgitest.Management, false},
		"not FastCGI":          {fcgitest.BadVersion, false},
		"END of 7 bytes":       {fcgitest.BadEndLength, false},
		"EOF before header":    {fcgitest.EOFBeforeHeader, false},
		"EOF in body":          {fcgitest.EOFInBody, false},
		"reset before reading": {fcgitest.ResetBeforeReading, false},
	} {
		inBubble(t, name, func(t *testing.T) {
			p := poolFor(t, fcgitest.Start(t, tc.script), 1)
			l := mustLease(t, p)
			_, _ = converse(l)
			l.Release()
			want := counts{}
			if tc.kept {
				want.idle = 1
			}
			wantCounts(t, p, want)
			if n := p.Snapshot().Instances[0].Discarded; n != uint64(1-want.idle) {
				t.Errorf("%d discarded, want %d", n, 1-want.idle)
			}
		})
	}
}

// A connection on which a request was not sent whole is not used again, whatever the answer.
func TestUnsentRequestPoisons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poolFor(t, fcgitest.Start(t, fcgitest.BodyUnread), 1)
		l := mustLease(t, p)
		if err := l.Write(request[:len(request)-8]); err != nil { // the end of STDIN is missing
			t.Fatal(err)
		}
		for {
			ev, err := l.Next(time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			if ev.Kind == upstream.End {
				break
			}
		}
		l.Release()
		wantCounts(t, p, counts{})
	})
}

// A lease that is given back in the middle of an answer is closed.
func TestUnreadAnswerPoisons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poolFor(t, fcgitest.Start(t, fcgitest.Hello), 1)
		l := mustLease(t, p)
		if err := l.Write(request); err != nil {
			t.Fatal(err)
		}
		l.SendDone()
		if _, err := l.Next(time.Time{}); err != nil {
			t.Fatal(err)
		}
		l.Release()
		wantCounts(t, p, counts{})
	})
}

// A stray END_REQUEST of the last request is not taken for the next one's.
func TestLateRecordHasTheWrongID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poolFor(t, fcgitest.Start(t, fcgitest.LateEnd), 1)
		serve(t, p)
		time.Sleep(2 * time.Second)
		l := mustLease(t, p)
		out, err := converse(l)
		l.Release()
		var format *upstream.FormatError
		if out != "" || !errors.As(err, &format) {
			t.Errorf("answer %q, %v, want a FormatError", out, err)
		}
		if want := "read app: fcgi: bad END_REQUEST: request id is 1, want 2"; err.Error() != want {
			t.Errorf("error %q, want %q", err, want)
		}
		wantCounts(t, p, counts{})
	})
}

func TestRequestIDsRotate(t *testing.T) {
	c := &conn{}
	for i := range 2*65535 + 10 {
		c.uses++
		c.reset()
		if want := uint16(i%65535) + 1; c.id != want || c.id == 0 {
			t.Fatalf("request %d has id %d, want %d", i+1, c.id, want)
		}
	}
}

func TestNextTimesOutAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poolFor(t, fcgitest.Start(t, fcgitest.AnswerAfter(10*time.Second, fcgitest.Page)), 1)
		l := mustLease(t, p)
		if err := l.Write(request); err != nil {
			t.Fatal(err)
		}
		l.SendDone()
		started := time.Now()
		_, err := l.Next(started.Add(3 * time.Second))
		var e *Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &e) || e.Replay != ReplayNever || time.Since(started) != 3*time.Second {
			t.Errorf("%v after %v, want a timeout after 3s, replay never", err, time.Since(started))
		}
		if !l.AtWork() {
			t.Error("AtWork is false")
		}
		ev, err := l.Next(time.Time{})
		if err != nil || string(ev.Data) != fcgitest.Page || time.Since(started) != 10*time.Second {
			t.Errorf("%q, %v after %v", ev.Data, err, time.Since(started))
		}
		if !l.AtWork() || !l.Spoke() {
			t.Errorf("AtWork is %v, Spoke is %v, want true, true", l.AtWork(), l.Spoke())
		}
		if ev, err = l.Next(time.Time{}); err != nil || ev.Kind != upstream.End {
			t.Errorf("%v, %v, want the end", ev.Kind, err)
		}
		if l.AtWork() {
			t.Error("AtWork is true after the end")
		}
		l.Release()
		wantCounts(t, p, counts{idle: 1})
	})
}

func TestSendTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.ReadsNothing)
		p := poolOf(t, peer.Dial, Config{Workers: 1, SendTimeout: 7 * time.Second})
		l := mustLease(t, p)
		started := time.Now()
		err := l.Write(make([]byte, 1<<20))
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(started) != 7*time.Second {
			t.Errorf("%v after %v, want a timeout after 7s", err, time.Since(started))
		}
		l.Release()
		wantCounts(t, p, counts{})
	})
}

func TestReleaseTwicePanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poolFor(t, fcgitest.Start(t, fcgitest.Hello), 1)
		l := mustLease(t, p)
		l.Release()
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		l.Release()
	})
}

// Every record may arrive in any two parts.
func TestRecordsSplitAnywhere(t *testing.T) {
	for n := 1; n < len(fcgitest.Good(1)); n++ {
		synctest.Test(t, func(t *testing.T) {
			p := poolFor(t, fcgitest.Start(t, fcgitest.SplitAt(n)), 1)
			for range 2 {
				serve(t, p)
			}
			wantCounts(t, p, counts{idle: 1})
			equal(t, "dials", p.Snapshot().Instances[0].Dials, 1)
		})
		if t.Failed() {
			t.Fatalf("split after %d bytes", n)
		}
	}
}

// No answer that was cut short looks complete.
func TestEOFAnywhere(t *testing.T) {
	for n := range len(fcgitest.Good(1)) {
		synctest.Test(t, func(t *testing.T) {
			p := poolFor(t, fcgitest.Start(t, fcgitest.EOFAt(n)), 1)
			l := mustLease(t, p)
			if out, err := converse(l); !errors.Is(err, io.EOF) {
				t.Errorf("answer %q, %v, want io.EOF", out, err)
			}
			l.Release()
			wantCounts(t, p, counts{})
		})
		if t.Failed() {
			t.Fatalf("EOF after %d bytes", n)
		}
	}
}

// The answer is the same however large the pieces are that it arrives in.
func TestLargeAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 3 << 20
		p := poolFor(t, fcgitest.Start(t, fcgitest.Bytes(size)), 1)
		l := mustLease(t, p)
		out, err := converse(l)
		l.Release()
		_, body, _ := bytes.Cut([]byte(out), []byte("\n\n"))
		if err != nil || len(body) != size {
			t.Errorf("%d bytes of body, %v, want %d", len(body), err, size)
		}
		wantCounts(t, p, counts{idle: 1})
	})
}

func TestErrorTexts(t *testing.T) {
	for want, err := range map[string]error{
		"read app: timed out":                                      &Error{Op: "read", Addr: "app", Err: &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}},
		"read app: the application closed the connection":          &Error{Op: "read", Addr: "app", Err: io.EOF},
		"write app: the application closed the connection (reset)": &Error{Op: "write", Addr: "app", Err: syscall.EPIPE},
		"answer app: " + upstream.ErrOverloaded.Error():            &Error{Op: "answer", Addr: "app", Err: upstream.ErrOverloaded},
		"dial app: the listen backlog is full":                     &DialError{"app", syscall.EAGAIN},
		"dial app: something else":                                 &DialError{"app", errors.New("something else")},
	} {
		if err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
	}
	for replay, want := range map[Replay]string{ReplayNever: "never", ReplayIdempotent: "if idempotent", ReplaySafe: "safe"} {
		if got := fmt.Sprint(replay); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A connection whose last deadline has passed, as it has after every answer that
// was waited for, is as good as any.
func TestReuseAfterDeadline(t *testing.T) {
	p := poolFor(t, fcgitest.StartUnix(t, fcgitest.Hello), 1)
	for i := range 3 {
		l := mustLease(t, p)
		if l.Fresh() != (i == 0) {
			t.Errorf("request %d: fresh is %v", i, l.Fresh())
		}
		exchange(t, l)
		l.Interrupt() // which leaves a deadline in the past
		l.Release()
	}
	if got := p.Snapshot().Instances[0]; got.Dials != 1 || got.Stale != 0 {
		t.Errorf("%d dials, %d stale, want 1 and 0", got.Dials, got.Stale)
	}
}
