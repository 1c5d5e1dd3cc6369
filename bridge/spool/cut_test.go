package spool

import (
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// An upload that is cut while its client sends nothing ends when Cut has ended the
// Read, and says why.
func TestCutDuringReadFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := noMemory(t, alone(50_000))
		r, w := io.Pipe()
		cut := &cutter{f: func() { w.CloseWithError(errors.New("interrupted")) }}
		large := s.NewBuffer(Owner{ClientOf("192.0.2.1"), cut}, -1)
		got := make(chan error, 1)
		go func() {
			_, err := large.ReadFrom(r)
			large.Close()
			got <- err
		}()
		if _, err := w.Write(pattern(50_000)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		small, _ := newUpload(t, s, "192.0.2.2")
		mustWrite(t, small, pattern(10_000))
		if err := <-got; !errors.Is(err, ErrCut) {
			t.Errorf("ReadFrom: %v", err)
		}
		cut.want(t, "it", 1)
		wantStats(t, s, Stats{Buffers: 1, Files: 1, Disk: 10_000, Cut: 1})
	})
}

// Close does not return while Cut is called, and it is not called after that.
func TestCloseWaitsForCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := noMemory(t, alone(50_000))
		proceed := make(chan struct{})
		cut := &cutter{f: func() { <-proceed }}
		large := s.NewBuffer(Owner{ClientOf("192.0.2.1"), cut}, -1)
		mustWrite(t, large, pattern(50_000))
		small, _ := newUpload(t, s, "192.0.2.2")
		w := start(small.Write, pattern(10_000))
		w.waits(t)
		closed := make(chan error, 1)
		go func() { closed <- large.Close() }()
		synctest.Wait()
		if len(closed) > 0 {
			t.Error("Close returned during Cut")
		}
		close(proceed)
		if err := <-closed; err != nil {
			t.Error(err)
		}
		w.want(t, 10_000, nil)
		cut.want(t, "it", 1)
	})
}

// Room that somebody was cut for is not taken by others who wait for some.
func TestFreedRoomIsWhoseItWasFreedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const unit = 10_000
		s, _ := noMemory(t, 80*unit)
		readers := newCrowd(t, s, "192.0.2.1", 6, 10*unit)
		var waiting []*result
		for range 20 {
			p := s.NewPipe(Owner{Client: ClientOf("192.0.2.1")})
			t.Cleanup(func() { p.Close() })
			waiting = append(waiting, start(p.Write, pattern(unit)))
		}
		time.Sleep(time.Minute)
		b, _ := newUpload(t, s, "192.0.2.2")
		mustWrite(t, b, pattern(40*unit))
		if n := readers.cut(); n != 2 {
			t.Errorf("%d answers were cut for what two held", n)
		}
		for _, w := range waiting {
			w.waits(t)
		}
	})
}

// Nor while the body that it was freed for needs more than that.
func TestFreedRoomIsKeptWhileMoreIsFreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const unit = 10_000
		s, _ := noMemory(t, 80*unit)
		newCrowd(t, s, "192.0.2.1", 6, 10*unit)
		p := s.NewPipe(Owner{Client: ClientOf("192.0.2.1")})
		defer p.Close()
		b, _ := newUpload(t, s, "192.0.2.2")
		s.toCut(&b.holding, 40*unit).cutNow()
		b.mu.Lock()
		if n := b.charge(40*unit-1, 1); n != 0 {
			t.Errorf("there was room for %d bytes", n)
		}
		b.mu.Unlock()
		start(p.Write, pattern(unit)).waits(t)
		mustWrite(t, b, pattern(40*unit))
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.wanted != 0 {
			t.Errorf("%d bytes are kept for nobody", s.wanted)
		}
	})
}

// Room is being made for a Write when a Read comes that takes all of it: the room is
// anybody's then.
func TestRoomThatIsNotNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const unit = 10_000
		s, _ := noMemory(t, 80*unit)
		hog := newCrowd(t, s, "192.0.2.1", 6, 10*unit)
		newCrowd(t, s, "192.0.2.50", 1, 10*unit)
		p := s.NewPipe(Owner{Client: ClientOf("192.0.2.99")})
		defer p.Close()
		got := make(chan int, 1)
		for _, c := range hog.cutters {
			c.f = func() {
				go func() {
					n, _ := p.Read(make([]byte, unit))
					got <- n
				}()
				for waits := false; !waits; runtime.Gosched() {
					p.mu.Lock()
					waits = p.wanted != nil
					p.mu.Unlock()
				}
			}
		}
		time.Sleep(time.Minute)
		mustWrite(t, p, pattern(unit))
		if n := <-got; n != unit || hog.cut() != 1 {
			t.Errorf("read %d, %d were cut", n, hog.cut())
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.wanted != 0 {
			t.Errorf("%d bytes are kept for nobody", s.wanted)
		}
	})
}
