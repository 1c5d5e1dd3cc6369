//go:build linux

package loop

import (
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// Whenever the bell rings, a wait ends: while the poller is busy, becomes quiet, or waits.
func TestBellEndsWait(t *testing.T) {
	t.Parallel()
	p, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	var waited, rung atomic.Int64
	var stop atomic.Bool
	over := make(chan struct{})
	go func() {
		defer close(over)
		for n := int64(1); !stop.Load(); n++ {
			if n%3 > 0 { // it is silent
				for range busyTurns {
					p.look()
				}
			}
			for rung.Load() < n && !stop.Load() {
				p.await()
			}
			waited.Store(n)
		}
	}()
	dice := rand.New(rand.NewPCG(1, 2))
	begun := time.Now()
	for n := int64(1); time.Since(begun) < 2*time.Second; n++ {
		for spin := dice.IntN(400); spin > 0; spin-- {
			_ = rung.Load()
		}
		rung.Store(n)
		p.ring()
		for rang := time.Now(); waited.Load() < n; {
			if time.Since(rang) > 10*time.Second {
				t.Fatalf("ring %d was not heard", n)
			}
			runtime.Gosched()
		}
	}
	stop.Store(true)
	p.ring()
	<-over
	if err := p.close(); err != nil {
		t.Error(err)
	}
}

// The alarm ends a wait, however often it is set, also to a time that has passed.
func TestAlarmEndsWait(t *testing.T) {
	t.Parallel()
	p, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	for n := range 200 {
		begun := time.Now()
		at := begun.Add(time.Duration(n%5-1) * time.Millisecond)
		for p.setAlarm(at, time.Now()); time.Now().Before(at); p.setAlarm(at, time.Now()) {
			for range n % 7 {
				p.look()
			}
			p.await()
		}
		if late := time.Since(at); late > 2*time.Second {
			t.Fatalf("the alarm came after %v", late)
		}
	}
	if err := p.close(); err != nil {
		t.Error(err)
	}
}
