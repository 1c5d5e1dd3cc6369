package spool

import "testing"

// It is a page whatever others hold, and more only within the budget; it outlives the
// pipe.
func TestScratch(t *testing.T) {
	s := newStore(t, Config{Memory: lone(80 << 10), Buffer: 256 << 10})
	p := s.NewPipe(Owner{})
	a, b := p.Scratch(), p.Scratch()
	wantStats(t, s, Stats{Buffers: 1, Small: 8 << 10})
	for _, size := range []int{16 << 10, 64 << 10, 64 << 10} {
		a.Grow(64 << 10)
		if len(a.Bytes()) != size {
			t.Errorf("it has %d bytes, want %d", len(a.Bytes()), size)
		}
	}
	wantStats(t, s, Stats{Buffers: 1, Small: 4 << 10, Memory: 64 << 10})
	b.Grow(64 << 10)
	b.Grow(64 << 10) // there is no room
	if len(b.Bytes()) != 16<<10 {
		t.Errorf("the other has %d bytes", len(b.Bytes()))
	}
	p.Close()
	wantStats(t, s, Stats{Memory: 80 << 10})
	a.Free()
	b.Free()
	wantStats(t, s, Stats{})
}

// A body may be given up for others at any time, so that its scratch memory outlives it. It
// does not grow any more: it would be charged to a client whose account is somebody else's
// by now.
func TestScratchOfClosedPipe(t *testing.T) {
	s := newStore(t, Config{})
	p := s.NewPipe(Owner{Client: ClientOf("192.0.2.1")})
	mustWrite(t, p, pattern(10_000))
	m := p.Scratch()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	m.Grow(64 << 10)
	if n := len(m.Bytes()); n != minChunk {
		t.Errorf("%d bytes, want as many as before", n)
	}
	b, _ := newUpload(t, s, "192.0.2.2")
	mustWrite(t, b, pattern(10_000))
	m.Free()
	if got := s.memory; got.used != 16<<10 || got.by != [numKinds]int64{request: 16 << 10} {
		t.Errorf("memory in use: %+v, want what the upload has", got)
	}
}
