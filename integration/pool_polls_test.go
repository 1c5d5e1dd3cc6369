//go:build linux

package integration

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// An application that multiplexes needs few connections: one or two if that is what
// it is told, and a few more, except for requests with bodies, if it is found out.
func TestGoIsMultiplexed(t *testing.T) {
	const few = 136 // 128 of them carry one request each
	for mode, tc := range map[config.Switch]struct {
		ask     func(l *load, caller, i int) question
		callers int
		most    int
	}{
		config.On:   {(*load).small, 32, 4},
		config.Auto: {(*load).longReads, 160, few},
		config.Off:  {(*load).longReads, 160, 160},
	} {
		t.Run(string(mode), func(t *testing.T) {
			checkLeaks(t)
			be, stats := startGoApp(t, tc.callers)
			cfg := be.plainConfig()
			cfg.Multiplex = mode
			url, b := serveBridge(t, cfg)
			l := newLoad(t, url)
			// As many as there are callers are in the application at once, however slow the machine.
			polls := make([]<-chan outcome, tc.callers)
			for i := range polls {
				polls[i] = l.background(t, t.Context(), fmt.Sprintf("/poll?t=poll-%d", i))
			}
			eventually(t, "all polls wait in the application", func() error {
				if got := countersOf(t, stats); got.Waiting != tc.callers {
					return fmt.Errorf("%+v, %+v", got, b.Snapshot().Pool.Instances[0])
				}
				return nil
			})
			if err := syscall.Kill(be.process.Process.Pid, syscall.SIGUSR1); err != nil {
				t.Fatal(err)
			}
			for i, poll := range polls {
				within(t, "a poll", poll).want(t, fmt.Sprintf("poll-%d", i))
			}
			l.callers(t, tc.callers, func(caller, i int) question { return tc.ask(l, caller, i) }, func() { pause(t, lasting(1500*time.Millisecond, 20*time.Second)) })
			l.wantAllRight(t)
			l.wantRunOnce(t)
			got := countersOf(t, stats)
			t.Logf("%+v; %+v", got, b.Snapshot().Pool.Instances[0])
			if got.MostOpen > tc.most {
				t.Errorf("the application saw %d connections at once, want at most %d", got.MostOpen, tc.most)
			}
			if mode == config.Off && got.MostOpen <= few {
				t.Errorf("without multiplexing, 160 requests at a time took %d connections", got.MostOpen)
			}
		})
	}
}

// net/http/fcgi reads a connection no further while a handler has not read its
// body. That holds up nobody else.
func TestUnreadBodyHoldsUpNobody(t *testing.T) {
	checkLeaks(t)
	const unread, tooLong = 2 * time.Second, time.Second
	be, _ := startGoApp(t, 32)
	url, b := serveBridge(t, be.config())
	l := newLoad(t, url)
	l.ask(t.Context(), l.once(http.MethodGet, nil, 0)) // the bridge learns that it multiplexes
	route := fmt.Sprintf("/unread?ms=%d", unread.Milliseconds())
	waiting := make(chan string, 1)
	go func() {
		_, body, err := l.try(l.request(t, http.MethodPost, route, strings.NewReader("nobody reads this")))
		waiting <- fmt.Sprint(body, err)
	}()
	awaitState(t, b, "it is there", func(s bridge.Snapshot) bool { return s.Pool.Instances[0].Busy > 0 })
	for i := range 20 {
		l.ask(t.Context(), l.once(methods[i%len(methods)], l.filler[:i], 0))
	}
	l.wantAllRight(t)
	if l.slowest > tooLong {
		t.Errorf("an answer took %v", l.slowest)
	}
	if got := within(t, "the request with the unread body", waiting); got != "unread\n<nil>" {
		t.Errorf("got %q", got)
	}
}

// Ten thousand long-polls wait in one application at once, over a few connections,
// and each gets its own answer. The clients have no sockets: the process may open
// 20,000 files, and this is about the other side. The first of them have the bridge find
// out that the application multiplexes: nobody waits for that for longer than two seconds,
// which ten thousand at once may take of a busy machine.
func TestTenThousandPolls(t *testing.T) {
	const polls, first, most = 10_000, 160, 136
	checkLeaks(t)
	be, stats := startGoApp(t, polls+most)
	_, b := serveBridge(t, be.plainConfig())

	answers := make([]pollAnswer, polls)
	var ready, answered sync.WaitGroup
	begin, beginOthers := make(chan struct{}), make(chan struct{})
	ready.Add(polls)
	for i := range answers {
		r := pollRequest(t, fmt.Sprintf("/poll?t=poll-%d", i))
		answers[i].header = make(http.Header)
		answered.Go(func() {
			ready.Done()
			if i < first {
				<-begin
			} else {
				<-beginOthers
			}
			answers[i].from(b, r)
		})
	}
	ready.Wait()
	before := memory()
	started := time.Now()
	awaitPolls := func(n int) {
		t.Helper()
		eventually(t, fmt.Sprintf("%d polls wait in the application", n), func() error {
			if got := countersOf(t, stats); got.Waiting != n {
				return fmt.Errorf("%+v, %+v", got, b.Snapshot().Pool.Instances[0])
			}
			return nil
		})
	}
	close(begin)
	awaitPolls(first)
	close(beginOthers)
	awaitPolls(polls)
	took := time.Since(started)
	each := (memory() - before) / polls
	got := countersOf(t, stats)
	started = time.Now()
	if err := syscall.Kill(be.process.Process.Pid, syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	answered.Wait()
	t.Logf("%d polls over %d connections; %d bytes of memory each; all sent after %v, all answered %v after the event",
		polls, got.MostOpen, each, took.Round(time.Millisecond), time.Since(started).Round(time.Millisecond))

	wrong := 0
	for i := range answers {
		if a := &answers[i]; a.status != http.StatusOK || string(a.body) != fmt.Sprintf("poll-%d", i) {
			wrong++
			if wrong <= 10 {
				t.Errorf("poll %d: status %d, %q", i, a.status, a.body)
			}
		}
	}
	if wrong > 0 {
		t.Errorf("%d polls were not answered rightly", wrong)
	}
	if got.MostOpen > most {
		t.Errorf("they took %d connections, want at most %d", got.MostOpen, most)
	}
}

// pollAnswer is a response writer that keeps the body.
type pollAnswer struct {
	sink
	body []byte
}

// from takes h's answer to r. One that is cut off is as short as it is.
func (a *pollAnswer) from(h http.Handler, r *http.Request) {
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			panic(p)
		}
	}()
	h.ServeHTTP(a, r)
}

func (a *pollAnswer) Write(p []byte) (int, error) {
	a.body = append(a.body, p...)
	return a.sink.Write(p)
}

func pollRequest(t testing.TB, route string) *http.Request {
	t.Helper()
	ctx := context.WithValue(t.Context(), http.LocalAddrContextKey, benchServer)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://app.example.org"+route, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.RequestURI, r.RemoteAddr = route, "192.0.2.7:40000"
	return r
}

// memory is what this process uses, in bytes: live objects and stacks.
func memory() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
