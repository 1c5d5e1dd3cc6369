package fcgitest

import (
	"context"
	"io"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

var abort = Record(AbortRequest, 1, nil)

func TestAbortsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, Start(t, AbortsIgnored(AnswerAfter(time.Second, Page))).Dial)
		c.send(begin(1, "/"), abort)
		c.wantNothing(time.Hour) // the end of STDIN wakes it, nothing else does
		c.send(Record(Stdin, 1, nil), abort)
		c.want(page(1)...)
		c.wantServed(1)
	})
}

func TestAbortsDeadly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := Start(t, AbortsDeadly(AnswerAfter(time.Second, Page)))
		reading := connect(t, peer.Dial)
		reading.send(begin(1, "/"), abort)
		reading.want("end 1 0")
		reading.wantError(io.EOF)

		working := connect(t, peer.Dial)
		working.send(whole(1, "/"), abort)
		working.want(page(1)...)
		working.wantError(io.EOF)

		connect(t, peer.Dial).wantServed(1)
	})
}

func TestAbortFailsElsewhere(t *testing.T) {
	f := &failures{T: t}
	c := connect(t, Start(f, Hello).Dial)
	c.send(begin(1, "/"), abort)
	c.wantError(io.EOF)
	f.want("want type 5 for request 1, got type 2 for 1")
}

// The answers to the last request of MaxRequests and its end are one write: there
// is no moment at which the connection could be kept.
func TestMaxRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, Start(t, MaxRequests(3)).Dial)
		c.wantServed(1)
		c.wantServed(1)
		c.send(whole(1, "/"))
		synctest.Wait()
		if _, err := c.Write(whole(1, "/")); err == nil {
			t.Error("the connection is open after the last request")
		}
		c.want(page(1)...)
		c.wantError(io.EOF)
	})
}

func TestWorksOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, Start(t, WorksOn(7*time.Second)).Dial)
		start := time.Now()
		c.wantServed(1)
		wantSince(t, start, 0)
		c.wantServed(1)
		wantSince(t, start, 7*time.Second)
	})
}

func TestBodyUnreadClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, Start(t, BodyUnreadClosed).Dial)
		c.send(begin(1, "/"), Record(Stdin, 1, []byte("body")))
		c.want(page(1)...)
		c.wantError(syscall.ECONNRESET)
	})
}

func TestSmallParams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, Start(t, SmallParams(4096, 4*time.Second)).Dial)
		fits := strings.Repeat("x", 4096-len("REQUEST_URI"))
		c.send(whole(1, fits))
		c.want(page(1)...)
		start := time.Now()
		c.send(whole(1, fits+"x"))
		c.wantError(io.EOF)
		wantSince(t, start, 4*time.Second)
	})
}

func TestDropsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for kind, script := range map[string]Script{"serial": Hello, "multiplexed": MuxPage} {
			peer := Start(t, DropsSilent(2*time.Second, script))
			start := time.Now()
			silent := connect(t, peer.Dial)
			spoken := connect(t, peer.Dial)
			spoken.wantServed(1)
			silent.wantError(io.EOF)
			if got := time.Since(start); got != 2*time.Second {
				t.Errorf("%s: dropped after %v", kind, got)
			}
			time.Sleep(time.Hour)
			spoken.wantServed(1)
		}
	})
}

// What STDIN ends with is not read before the work is done.
func TestLeavesStdin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, Start(t, WorksOn(time.Second)).Dial)
		c.send(whole(1, "/"))
		c.want(page(1)...)
		unread := UnreadOf(c.Conn)
		if n, err := unread.Bytes(); n != 8 || err != nil {
			t.Errorf("%d bytes are left unread, %v, want 8", n, err)
		}
		start := time.Now()
		if err := unread.Await(t.Context()); err != nil {
			t.Error(err)
		}
		wantSince(t, start, time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		c.send(whole(2, "/"))
		c.want(page(2)...)
		if err := unread.Await(ctx); err != context.DeadlineExceeded {
			t.Errorf("%v, want %v", err, context.DeadlineExceeded)
		}
	})
}

// While a kept connection is not used, nobody else is served.
func TestAcceptLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := Start(t, AcceptLock(servePage))
		kept := connect(t, peer.Dial)
		kept.wantServed(1)
		synctest.Wait() // its thread waits for the next request
		next := connect(t, peer.Dial)
		next.send(whole(1, "/"))
		next.wantNothing(time.Hour)
		kept.Close()
		next.want(page(1)...)
	})
}

// While one connection is silent, nobody else is served for the first time.
func TestAcceptMutex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := Start(t, AcceptMutex(servePage))
		kept := connect(t, peer.Dial)
		kept.wantServed(1)
		start := time.Now()
		silent := connect(t, peer.Dial)
		synctest.Wait()
		next := connect(t, peer.Dial)
		next.send(whole(1, "/"))
		kept.wantServed(1)
		wantSince(t, start, 0)
		next.wantNothing(2*time.Second - time.Nanosecond)
		silent.wantError(io.EOF)
		next.want(page(1)...)
		wantSince(t, start, 2*time.Second)
		next.wantServed(1)
	})
}
