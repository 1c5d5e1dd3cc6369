package fcgitest

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Two requests whose records alternate, with GET_VALUES between, byte for byte.
func TestMultiplexedInterleaved(t *testing.T) {
	for name, start := range map[string]func(testing.TB, ...Script) *Peer{"memory": Start, "unix": StartUnix} {
		t.Run(name, func(t *testing.T) {
			peer := start(t, MuxEcho)
			c := connect(t, peer.Dial)
			c.send(
				[]byte{1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0},
				[]byte{1, 1, 0, 2, 0, 8, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0},
				[]byte{1, 4, 0, 2, 0, 15, 0, 0, 11, 2}, []byte("REQUEST_URI/b"),
				[]byte{1, 4, 0, 1, 0, 15, 0, 0, 12, 1}, []byte("QUERY_STRINGa"),
				getValues,
				[]byte{1, 4, 0, 1, 0, 0, 0, 0},
				[]byte{1, 4, 0, 2, 0, 0, 0, 0},
				[]byte{1, 5, 0, 2, 0, 1, 0, 0, 'B'},
				[]byte{1, 5, 0, 1, 0, 1, 0, 0, 'A'},
				[]byte{1, 5, 0, 2, 0, 0, 0, 0},
			)
			c.want("type 10 0 \x0f\x01FCGI_MPXS_CONNS0", "out 2 uri=/b", "end 2 0")
			c.send([]byte{1, 5, 0, 1, 0, 0, 0, 0})
			c.want("out 1 uri=a", "end 1 0")
			got := peer.Requests()
			if len(got) != 2 || string(got[0].Stdin) != "A" || string(got[1].Stdin) != "B" || !got[1].StdinEnded {
				t.Errorf("requests %+v", got)
			}
		})
	}
}

func TestMuxInterleaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, Start(t, MuxInterleaved(2, time.Second)).Dial)
		start := time.Now()
		c.send(whole(1, "/a"))
		c.want("out 1 Content-Type: text/plain\n\n")
		time.Sleep(time.Second / 2)
		c.send(whole(2, "/b"))
		c.want("out 2 Content-Type: text/plain\n\n", "out 1 /a 0\n", "out 2 /b 0\n", "out 1 /a 1\n", "end 1 0")
		wantSince(t, start, 2*time.Second)
		c.want("out 2 /b 1\n", "end 2 0")
		wantSince(t, start, 2500*time.Millisecond)
	})
}

// Many requests at once, more than fits the buffers in their answers: every
// record arrives whole, every answer is that of its request.
func TestMultiplexedStorm(t *testing.T) {
	const n, lines = 300, 40
	script := Multiplexed(func(s *Session, r *Request) {
		for range lines {
			s.Send(Out(r.ID, strings.Repeat(uri(r), 100)), Record(Stderr, r.ID, []byte("e")))
		}
		s.Send(End(r.ID))
	})
	for name, start := range map[string]func(testing.TB, ...Script) *Peer{"memory": Start, "unix": StartUnix} {
		t.Run(name, func(t *testing.T) {
			c := connect(t, start(t, script).Dial)
			var writing sync.WaitGroup
			defer writing.Wait()
			writing.Go(func() {
				for id := range uint16(n) {
					if _, err := c.Write(whole(id+1, fmt.Sprint(id+1, " "))); err != nil {
						t.Error(err)
						return
					}
				}
			})
			got := make(map[uint16]string)
			last := byte(Stderr)
			for ended := 0; ended < n; {
				rec, err := readRecord(c)
				if err != nil {
					t.Fatal(err)
				}
				if (rec.typ == Stderr) != (last == Stdout) {
					t.Fatalf("type %d after type %d: one Send was torn apart", rec.typ, last)
				}
				last = rec.typ
				switch rec.typ {
				case Stdout:
					got[rec.id] += string(rec.content)
				case EndRequest:
					ended++
				}
			}
			for id, answer := range got {
				if answer != strings.Repeat(fmt.Sprint(id, " "), 100*lines) {
					t.Errorf("request %d got another answer", id)
				}
			}
		})
	}
}

// writesOf is a listener whose connections report what each write is.
type writesOf struct {
	*Listener
	writes chan string
}

type reporting struct {
	net.Conn
	writes chan string
}

func (l writesOf) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return reporting{c, l.writes}, err
}

func (c reporting) Write(p []byte) (int, error) {
	c.writes <- string(p)
	return c.Conn.Write(p)
}

func TestOneSendIsOneWrite(t *testing.T) {
	want := map[string][]string{
		"multiplexed": {string(Out(1, Page)) + string(End(1))},
		"serial":      {string(Out(1, Page)), string(End(1))},
	}
	for kind, script := range map[string]Script{"multiplexed": MuxPage, "serial": Hello} {
		ln := writesOf{Listen(1), make(chan string, 10)}
		c := connect(t, Serve(t, ln, ln.Dial, "memory", script).Dial)
		c.wantServed(1)
		var got []string
		for len(ln.writes) > 0 {
			got = append(got, <-ln.writes)
		}
		if !slices.Equal(got, want[kind]) {
			t.Errorf("%s: writes %q, want %q", kind, got, want[kind])
		}
	}
}

// An id is free when its END_REQUEST has been sent, not when its goroutine ends.
func TestMultiplexedIDIsFreeAfterEnd(t *testing.T) {
	c := connect(t, Start(t, MuxPage).Dial)
	for range 500 {
		c.wantServed(1)
	}
}

func TestMultiplexedRefusesNonsense(t *testing.T) {
	for name, test := range map[string]struct {
		bytes []byte
		want  string
	}{
		"id in use":            {append(begin(1, "/"), begin(1, "/")...), "request 1 is begun again"},
		"id of one served":     {append(whole(1, "/"), begin(1, "/")...), "request 1 is begun again"},
		"id 0":                 {begin(0, "/"), "want BEGIN_REQUEST"},
		"PARAMS without BEGIN": {Record(Params, 3, nil), "type 4 for request 3, which is not in progress"},
		"STDIN without BEGIN":  {Record(Stdin, 3, []byte("x")), "type 5 for request 3, which is not in progress"},
		"STDIN before PARAMS": {
			append(Record(BeginRequest, 1, []byte{0, 1, 1, 0, 0, 0, 0, 0}), Record(Stdin, 1, nil)...),
			"type 5 for request 1 out of order",
		},
		"PARAMS after their end": {append(begin(1, "/"), Record(Params, 1, nil)...), "type 4 for request 1 out of order"},
		"STDIN after its end":    {append(whole(1, "/"), Record(Stdin, 1, []byte("x"))...), "type 5 for request 1 out of order"},
		"a type":                 {Record(Stdout, 1, nil), "got type 6, id 1"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &failures{T: t}
			peer := Start(f, Multiplexed(func(s *Session, r *Request) { <-s.killed }))
			c := connect(t, peer.Dial)
			c.send(test.bytes)
			if got, err := c.next(); err == nil {
				t.Errorf("record %q, want the end", got) // EOF or reset: what was unread decides
			}
			f.want(test.want)
		})
	}
}

// What may cross an END_REQUEST is no mistake.
func TestMultiplexedToleratesCrossing(t *testing.T) {
	c := connect(t, Start(t, MuxPage).Dial)
	c.wantServed(1)
	c.send(Record(AbortRequest, 1, nil), Record(Stdin, 1, nil), Record(AbortRequest, 99, nil))
	c.wantServed(2)
}

func TestAbort(t *testing.T) {
	for name, test := range map[string]struct {
		script Script
		want   []string
		after  time.Duration
	}{
		"MuxHold":         {MuxHold, []string{"end 1 0"}, time.Second},
		"MuxIgnoresAbort": {MuxIgnoresAbort, page(1), time.Minute},
		"MuxAbortTail": {
			MuxAbortTail(3 * time.Second),
			[]string{"end 1 0", "out 1 uri=/", "end 1 0"},
			4 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				peer := Start(t, test.script)
				c := connect(t, peer.Dial)
				start := time.Now()
				c.send(whole(1, "/"))
				c.wantNothing(time.Second)
				select {
				case <-peer.Requests()[0].Aborted():
					t.Error("aborted before ABORT_REQUEST")
				default:
				}
				c.send(abort, abort, Record(Stdin, 1, nil))
				c.want(test.want...)
				wantSince(t, start, test.after)
				<-peer.Requests()[0].Aborted()
			})
		})
	}
}

func TestMuxAbortTailWithoutAbort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, Start(t, MuxAbortTail(time.Second)).Dial)
		start := time.Now()
		c.send(whole(1, "/"))
		c.want("out 1 uri=/", "end 1 0")
		wantSince(t, start, time.Second)
	})
}

// A request that is aborted while it comes is served when it has come.
func TestAbortBeforeTheEndOfStdin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, Start(t, MuxHold).Dial)
		c.send(begin(1, "/"), Record(AbortRequest, 1, nil))
		c.wantNothing(time.Second)
		c.send(Record(Stdin, 1, nil))
		c.want("end 1 0")
	})
}

// Requests are not told that their connection has ended, in one direction or in
// both; nothing is sent on it any more.
func TestMultiplexedRunsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended atomic.Bool
		peer := Start(t, Multiplexed(func(s *Session, r *Request) {
			s.HoldFor(time.Minute)
			ended.Store(true)
		}))
		c := connect(t, peer.Dial)
		c.send(whole(1, "/"))
		_ = c.Conn.(*Conn).CloseWrite()
		c.wantError(io.EOF)
		synctest.Wait()
		if peer.Open() != 0 || peer.MostOpen() != 1 || ended.Load() {
			t.Errorf("%d open, at most %d, ended: %v", peer.Open(), peer.MostOpen(), ended.Load())
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if !ended.Load() {
			t.Error("the request did not run on")
		}
	})
}

// Close does not wait for those who would run on.
func TestCloseEndsMultiplexed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := Start(t, MuxHold, MuxIgnoresAbort, MuxBig(1<<20), MuxDeafTo(0))
		start := time.Now()
		for range 4 {
			connect(t, peer.Dial).send(whole(1, "/"), whole(2, "/"))
		}
		synctest.Wait()
		peer.Close()
		wantSince(t, start, 0)
	})
}
