package pool

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// configure has a pool go by its Config with a change.
func configure(t testing.TB, p *Pool, change func(*Config)) {
	t.Helper()
	cfg := *p.config()
	change(&cfg)
	if err := p.Configure(cfg); err != nil {
		t.Fatal(err)
	}
}

func workers(n int) func(*Config) { return func(c *Config) { c.Workers = n } }

func TestConfigureRefuses(t *testing.T) {
	p := helloPool(t, Config{Workers: 4, IdleTimeout: time.Minute})
	for name, change := range map[string]func(*Config){
		"workers":          func(c *Config) { c.Workers = 0 },
		"multiplex":        func(c *Config) { c.Multiplex = MultiplexOn },
		"closes_when_full": func(c *Config) { c.ClosesWhenFull = true },
		"works_on":         func(c *Config) { c.WorksOn = true },
		"closes_idle":      func(c *Config) { c.ClosesIdle = true },
	} {
		cfg := Config{Workers: 8}
		change(&cfg)
		err := p.Configure(cfg)
		if err == nil || !strings.Contains(err.Error(), name) || errors.Is(err, ErrOtherKind) != (cfg.Workers > 0) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if cfg := p.config(); cfg.Workers != 4 || cfg.IdleTimeout != time.Minute || p.Capacity() != 4 {
		t.Errorf("an error has changed something: %+v", cfg)
	}
	p.Close()
	if err := p.Configure(Config{Workers: 4}); err != ErrClosed {
		t.Errorf("when it is closed: %v", err)
	}
}

// Instances, Logger and OnOutage stay, whatever the new Config says. What it leaves out
// is the default.
func TestConfigureKeeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		p := newPool(t, Config{
			Instances: []Instance{{Addr: "app", Dial: func(context.Context) (net.Conn, error) { return nil, errors.New("no route to host") }}},
			Workers:   4, IdleTimeout: time.Minute, OnOutage: func(string, error) { told++ },
		})
		if err := p.Configure(Config{Workers: 8, OnOutage: func(string, error) { t.Error("another is told") }}); err != nil {
			t.Fatal(err)
		}
		wantCapacity(t, p, 8)
		if _, err := p.Lease(t.Context(), Demand{}); err == nil {
			t.Error("no error")
		}
		synctest.Wait()
		if cfg := p.config(); told != 1 || len(cfg.Instances) != 1 || cfg.IdleTimeout != 5*time.Second {
			t.Errorf("told %d times; %+v", told, cfg)
		}
	})
}

func TestIdleTimeoutChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := helloPool(t, Config{Workers: 1, IdleTimeout: 20 * time.Second})
		idle := func(d time.Duration) func(*Config) { return func(c *Config) { c.IdleTimeout = d } }
		serve(t, p)
		time.Sleep(5 * time.Second)
		configure(t, p, idle(10*time.Second))
		time.Sleep(5*time.Second - time.Nanosecond)
		wantCounts(t, p, counts{idle: 1})
		time.Sleep(time.Nanosecond)
		wantCounts(t, p, counts{})
		serve(t, p)
		time.Sleep(5 * time.Second)
		configure(t, p, idle(time.Second))
		wantCounts(t, p, counts{})
		serve(t, p)
		configure(t, p, idle(time.Minute))
		time.Sleep(time.Minute - time.Nanosecond)
		wantCounts(t, p, counts{idle: 1})
		time.Sleep(time.Nanosecond)
		wantCounts(t, p, counts{})
	})
}

// A waiter may wait for as long as when it began.
func TestWaitTimeoutChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := helloPool(t, Config{Workers: 1, WaitTimeout: 7 * time.Second})
		l := mustLease(t, p)
		old := startLease(p)
		synctest.Wait()
		configure(t, p, func(c *Config) { c.WaitTimeout = time.Second })
		young := startLease(p)
		<-young.done
		<-old.done
		if old.after != 7*time.Second || young.after != time.Second || old.err != ErrWaitTimeout || young.err != ErrWaitTimeout {
			t.Errorf("%v after %v, %v after %v, want 7s, 1s", old.err, old.after, young.err, young.after)
		}
		finish(t, l)
	})
}

func TestDialTimeoutChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poolOf(t, make(dialer).dial, Config{Workers: 2, WaitTimeout: time.Minute})
		old := startLease(p)
		synctest.Wait()
		configure(t, p, func(c *Config) { c.DialTimeout = 5 * time.Second })
		young := startLease(p)
		<-old.done
		<-young.done
		if old.after != 2*time.Second || young.after != 5*time.Second {
			t.Errorf("given up after %v and %v, want 2s, 5s", old.after, young.after)
		}
	})
}

// A write that begins after the change has the new time.
func TestSendTimeoutChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poolFor(t, fcgitest.Start(t, fcgitest.ReadsNothing), 1)
		l := mustLease(t, p)
		configure(t, p, func(c *Config) { c.SendTimeout = 7 * time.Second })
		begun := time.Now()
		err := l.Write(make([]byte, 1<<20))
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) != 7*time.Second {
			t.Errorf("%v after %v, want a timeout after 7s", err, time.Since(begun))
		}
		l.Release()
	})
}

func TestSendTimeoutOfSharedConnectionsChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := muxPool(t, fcgitest.Start(t, fcgitest.MuxDeafTo(1)), 100)
		first := leaseFor(t, p, whole)
		send(t, first, "/")
		finishAnswer(t, first)
		configure(t, p, func(c *Config) { c.SendTimeout = 7 * time.Second })
		l := leaseFor(t, p, whole)
		if l.c != first.c {
			t.Fatal("it is not the same connection")
		}
		begun := time.Now()
		for range 3 {
			_ = l.Write(make([]byte, 1<<20))
			synctest.Wait()
		}
		if _, err := l.Next(begun.Add(time.Hour)); err == nil || time.Since(begun) != 7*time.Second {
			t.Errorf("%v after %v, want a timeout after 7s", err, time.Since(begun))
		}
		l.Release()
	})
}

func TestCloseDelayChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := helloPool(t, Config{Workers: 2, CloseDelay: time.Second})
		all := leaseAll(t, p, 2)
		all[0].Release() // not in order: closed
		configure(t, p, func(c *Config) { c.CloseDelay = time.Minute })
		all[1].Release()
		time.Sleep(time.Second)
		wantCounts(t, p, counts{closing: 1})
		time.Sleep(59*time.Second - time.Nanosecond)
		wantCounts(t, p, counts{closing: 1})
		time.Sleep(time.Nanosecond)
		wantCounts(t, p, counts{})
	})
}

// No connection is kept after the change, nor one that was idle. A request ends as the
// application was told when it began.
func TestKeepAliveChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := helloPool(t, Config{Workers: 3})
		all := leaseAll(t, p, 2)
		finish(t, all[1])
		wantCounts(t, p, counts{busy: 1, idle: 1})
		configure(t, p, func(c *Config) { c.KeepAlive = KeepOff })
		wantCounts(t, p, counts{busy: 1})
		if !all[0].KeepConn() {
			t.Error("a request that has begun is another now")
		}
		finish(t, all[0])
		wantCounts(t, p, counts{})
		l := mustLease(t, p)
		if l.KeepConn() {
			t.Error("the connection is to be kept")
		}
		configure(t, p, func(c *Config) { c.KeepAlive = KeepOn })
		if l.KeepConn() {
			t.Error("a request that has begun is another now")
		}
		finish(t, l) // the application closes the connection, too
		wantCounts(t, p, counts{})
		serve(t, p)
		wantCounts(t, p, counts{idle: 1})
	})
}

// A threaded application is given time to close a connection that it was told not to keep.
func TestKeepAliveOfThreadsChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := helloPool(t, Config{Workers: 1, ClosesWhenFull: true, KeepAlive: KeepOff})
		l := mustLease(t, p)
		configure(t, p, func(c *Config) { c.KeepAlive = KeepOn })
		finish(t, l)
		wantCounts(t, p, counts{closing: 1})
		time.Sleep(lingerTimeout)
		wantCounts(t, p, counts{})
		l = mustLease(t, p)
		configure(t, p, func(c *Config) { c.KeepAlive = KeepOff })
		finish(t, l) // it was told to keep this one
		wantCounts(t, p, counts{})
	})
}

// What a request that left got in the instant it left is not kept either.
func TestKeepAliveOfADrainedInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := helloPool(t, Config{Workers: 1})
		l := mustLease(t, p)
		exchange(t, l)
		waiting := startLease(p)
		synctest.Wait()
		waiting.cancel()
		l.Release() // to the one that is leaving
		configure(t, p, func(c *Config) { c.KeepAlive = KeepOff })
		<-waiting.done
		if waiting.lease != nil {
			waiting.lease.Release()
		}
		wantCounts(t, p, counts{})
	})
}

// The race detector tells whether anything is read that changes.
func TestConfigureRaces(t *testing.T) {
	for name, multiplex := range map[string]Multiplex{"own": MultiplexOff, "shared": MultiplexOn} {
		t.Run(name, func(t *testing.T) {
			peer := fcgitest.Start(t, fcgitest.Hello)
			if multiplex == MultiplexOn {
				peer = fcgitest.Start(t, fcgitest.MuxAfter(0, fcgitest.Page))
			}
			p := newPool(t, Config{
				Instances: []Instance{{Addr: "app", Dial: peer.Dial}}, Workers: 4, WaitTimeout: time.Minute,
				Multiplex: multiplex, SendTimeout: time.Minute,
			})
			var all sync.WaitGroup
			for range 6 {
				all.Go(func() {
					for range 200 {
						l, err := p.Lease(context.Background(), whole)
						if err != nil {
							t.Error(err)
							return
						}
						_ = l.KeepConn()
						finish(t, l)
					}
				})
			}
			for i := range 200 {
				configure(t, p, func(c *Config) {
					c.Workers, c.SendTimeout = 1+i%5, time.Duration(1+i%3)*time.Minute
					c.KeepAlive = KeepOn
					if multiplex == MultiplexOff && i%2 == 0 {
						c.KeepAlive = KeepOff
					}
				})
				p.Snapshot()
			}
			all.Wait()
		})
	}
}
