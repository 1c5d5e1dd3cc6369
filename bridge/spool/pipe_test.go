package spool

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func mustRead(t testing.TB, p *Pipe, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(p, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("read of %d bytes: %v, equal: %v", len(want), err, bytes.Equal(got, want))
	}
}

// result is what a Read or Write that ran in its own goroutine has returned.
type result struct {
	mu  sync.Mutex
	n   int
	err error
}

func start(f func([]byte) (int, error), b []byte) *result {
	r := &result{n: -1}
	go func() {
		n, err := f(b)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.n, r.err = n, err
	}()
	synctest.Wait()
	return r
}

func (r *result) want(t *testing.T, n int, err error) {
	t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n != n || !errors.Is(r.err, err) {
		t.Errorf("returned %d, %v, want %d, %v", r.n, r.err, n, err)
	}
}

func (r *result) waits(t *testing.T) {
	t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n != -1 {
		t.Errorf("returned %d, %v, want it to wait", r.n, r.err)
	}
}

func TestPipeReadWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, Config{})
		p := s.NewPipe(Owner{})
		defer p.Close()
		got := make([]byte, 8)
		r := start(p.Read, got)
		r.waits(t)
		mustWrite(t, p, []byte("hello"))
		r.want(t, 5, nil)
		if string(got[:5]) != "hello" {
			t.Errorf("read %q", got[:5])
		}
		// The bytes went straight to the reader.
		wantStats(t, s, Stats{Buffers: 1})
	})
}

// A Write larger than what the waiting Read asked for is not reordered.
func TestPipeReadWaitsForLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newStore(t, Config{}).NewPipe(Owner{})
		defer p.Close()
		got := make([]byte, 2)
		r := start(p.Read, got)
		mustWrite(t, p, []byte("hello"))
		mustWrite(t, p, []byte(" world"))
		r.want(t, 2, nil)
		mustRead(t, p, []byte("llo world"))
		if string(got) != "he" {
			t.Errorf("read %q", got)
		}
	})
}

func TestPipeEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		truncated := errors.New("backend went away")
		for given, want := range map[error]error{nil: io.EOF, truncated: truncated} {
			p := newStore(t, Config{}).NewPipe(Owner{})
			mustWrite(t, p, []byte("tail"))
			p.CloseWrite(given)
			p.CloseWrite(errors.New("a later one"))
			mustRead(t, p, []byte("tail"))
			for range 2 {
				if n, err := p.Read(make([]byte, 1)); n != 0 || err != want {
					t.Errorf("Read = %d, %v, want %v", n, err, want)
				}
			}
			if _, err := p.Write([]byte("x")); !errors.Is(err, ErrClosed) {
				t.Errorf("Write after CloseWrite: %v", err)
			}
			p.Close()
		}

		p := newStore(t, Config{}).NewPipe(Owner{})
		defer p.Close()
		r := start(p.Read, make([]byte, 1))
		r.waits(t)
		p.CloseWrite(truncated)
		r.want(t, 0, truncated)
	})
}

// Memory, then disk, then Write waits; the order is kept through all three.
func TestPipeBackpressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, Config{Buffer: 10, Disk: lone(20)})
		p := s.NewPipe(Owner{})
		defer p.Close()
		data := pattern(100)
		mustWrite(t, p, data[:30])
		wantStats(t, s, Stats{Buffers: 1, Memory: 10, Disk: 20, Files: 1})

		w := start(p.Write, data[30:])
		w.waits(t)
		if p.Len() != 30 {
			t.Errorf("Len() = %d, want 30", p.Len())
		}
		mustRead(t, p, data[:10])
		w.waits(t) // the file is as full as it was
		mustRead(t, p, data[10:90])
		w.want(t, 70, nil)
		mustRead(t, p, data[90:])
		wantStats(t, s, Stats{Buffers: 1})
	})
}

// With both budgets in use elsewhere a pipe still delivers, at its reader's pace.
func TestPipeWithoutBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, Config{Buffer: 10, Memory: lone(10), Disk: lone(10)})
		hog := s.NewPipe(Owner{})
		defer hog.Close()
		mustWrite(t, hog, pattern(20))

		p := s.NewPipe(Owner{})
		defer p.Close()
		data := pattern(50)
		w := start(p.Write, data)
		w.waits(t)
		mustRead(t, p, data[:49])
		w.waits(t)
		mustRead(t, p, data[49:])
		w.want(t, 50, nil)
		wantStats(t, s, Stats{Buffers: 2, Memory: 10, Disk: 10, Files: 1})
	})
}

// Budget that another body gives back is used at once, whether or not this
// pipe's own reader moves.
func TestPipeUsesFreedBudget(t *testing.T) {
	for name, free := range map[string]func(t *testing.T, hog *Pipe){
		"closed":  func(_ *testing.T, hog *Pipe) { hog.Close() },
		"drained": func(t *testing.T, hog *Pipe) { mustRead(t, hog, pattern(20)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t, Config{Buffer: 10, Memory: lone(10), Disk: lone(10)})
				hog := s.NewPipe(Owner{})
				defer hog.Close()
				mustWrite(t, hog, pattern(20))

				p := s.NewPipe(Owner{})
				defer p.Close()
				w := start(p.Write, pattern(20))
				w.waits(t)
				free(t, hog)
				w.want(t, 20, nil)
				if p.Len() != 20 {
					t.Errorf("Len() = %d, want 20", p.Len())
				}
			})
		})
	}
}

func TestPipeCloseUnblocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, Config{Buffer: 10, Disk: lone(10)})
		writing := s.NewPipe(Owner{})
		w := start(writing.Write, pattern(50))
		w.waits(t)
		reading := s.NewPipe(Owner{})
		r := start(reading.Read, make([]byte, 1))
		r.waits(t)

		for range 2 {
			if err := errors.Join(writing.Close(), reading.Close()); err != nil {
				t.Error(err)
			}
		}
		w.want(t, 20, ErrClosed)
		r.want(t, 0, ErrClosed)
		wantStats(t, s, Stats{})
		for _, f := range []func([]byte) (int, error){writing.Write, writing.Read} {
			if n, err := f(make([]byte, 1)); n != 0 || !errors.Is(err, ErrClosed) {
				t.Errorf("after Close: %d, %v", n, err)
			}
		}
	})
}

// The same for a Write whose pipe has nothing that Close could give back.
func TestPipeCloseUnblocksWithoutBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, Config{Memory: 1, Disk: lone(10)})
		hog := s.NewPipe(Owner{})
		defer hog.Close()
		mustWrite(t, hog, pattern(10))

		p := s.NewPipe(Owner{})
		w := start(p.Write, pattern(1))
		w.waits(t)
		p.Close()
		w.want(t, 0, ErrClosed)
	})
}

// Another goroutine may end the stream under a Write that waits.
func TestPipeCloseWriteUnblocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newStore(t, Config{Buffer: 10, Disk: lone(10)}).NewPipe(Owner{})
		defer p.Close()
		w := start(p.Write, pattern(50))
		w.waits(t)
		timeout := errors.New("too slow")
		p.CloseWrite(timeout)
		w.want(t, 20, ErrClosed)
		mustRead(t, p, pattern(50)[:20])
		if _, err := p.Read(make([]byte, 1)); err != timeout {
			t.Errorf("Read: %v, want %v", err, timeout)
		}
	})
}

// A reader that keeps up: nothing reaches the disk, and an idle pipe holds
// nothing at all.
func TestPipeFastReader(t *testing.T) {
	s := newStore(t, Config{})
	p := s.NewPipe(Owner{})
	defer p.Close()
	data := pattern(64 << 10)
	for range 100 {
		mustWrite(t, p, data[:40<<10])
		mustWrite(t, p, data[40<<10:])
		wantStats(t, s, Stats{Buffers: 1, Memory: 64 << 10})
		mustRead(t, p, data)
		wantStats(t, s, Stats{Buffers: 1})
	}
}

// Having caught up the pipe is in memory again, and has no file: that would count for
// nothing, and take one of the descriptors that Files is to bound.
func TestPipeCatchesUp(t *testing.T) {
	s := newStore(t, Config{Buffer: 64 << 10})
	p := s.NewPipe(Owner{})
	defer p.Close()
	data := pattern(1 << 20)
	for range 3 {
		mustWrite(t, p, data)
		wantStats(t, s, Stats{Buffers: 1, Memory: 64 << 10, Disk: 1<<20 - 64<<10, Files: 1})
		mustRead(t, p, data)
		wantStats(t, s, Stats{Buffers: 1})
		mustWrite(t, p, data[:100])
		wantStats(t, s, Stats{Buffers: 1, Memory: 4 << 10})
		mustRead(t, p, data[:100])
	}
}

// While the file is being emptied, which is too short to be met by chance, Write
// leaves it alone: what it wrote there would be cut off.
func TestPipeLeavesFileBeingEmptied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, Config{Buffer: 10})
		p := s.NewPipe(Owner{})
		defer p.Close()
		p.emptying = true
		w := start(p.Write, pattern(20))
		w.waits(t)
		wantStats(t, s, Stats{Buffers: 1, Memory: 10})
		mustRead(t, p, pattern(20))
		w.want(t, 20, nil)
		p.emptying = false
	})
}

// takeLast has another body of the same client hold a byte of disk.
func takeLast(t *testing.T, s *Store) (release func() error) {
	t.Helper()
	p := s.NewPipe(Owner{})
	if s.reserveDisk(&p.holding, 1, 1) != 1 {
		t.Fatal("there is no room at all")
	}
	p.disk = 1
	return p.Close
}

// Room that the reader makes in a full pipe is used at once, although nothing
// goes back to the budgets.
func TestPipeUsesOwnRoom(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config Config
		full   int // bytes the pipe takes
		read   int // bytes the reader takes then
	}{
		{"in memory", Config{Buffer: 100, Disk: 1}, 100, 50},
		{"a block", Config{Memory: 1, Disk: lone(2*blockSize + 1)}, 2 * blockSize, blockSize},
		{"a block, the last not full", Config{Memory: 1, Disk: lone(2*blockSize + 101)}, 2*blockSize + 100, blockSize},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t, tt.config)
				// Somebody else has the last byte.
				defer takeLast(t, s)()
				p := s.NewPipe(Owner{})
				defer p.Close()
				data := pattern(tt.full + tt.read)
				mustWrite(t, p, data[:tt.full])
				w := start(p.Write, data[tt.full:])
				w.waits(t)
				mustRead(t, p, data[:tt.read])
				w.want(t, tt.read, nil)
				mustRead(t, p, data[tt.read:])
			})
		})
	}
}

// A reader that never catches up uses as much disk as it lags, not as much as
// went through.
func TestPipeLaggingReader(t *testing.T) {
	s := newStore(t, Config{})
	p := s.NewPipe(Owner{})
	defer p.Close()
	const lag = 1 << 20
	data := pattern(lag)
	mustWrite(t, p, data)
	for range 50 {
		for off := 0; off < lag; off += 50_000 {
			part := data[off:min(lag, off+50_000)]
			mustWrite(t, p, part)
			mustRead(t, p, part)
		}
	}
	if got := s.Stats().Disk; got > lag+2*blockSize {
		t.Errorf("%d bytes on disk after a lag of %d", got, lag)
	}
	mustRead(t, p, data)
}

// A writer that others wait for waits for a bounded time, and then says why.
func TestImpatientPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, Config{Buffer: 100, Disk: 1})
		defer takeLast(t, s)()
		p := s.NewImpatientPipe(Owner{}, time.Second)
		defer p.Close()
		begun := time.Now()
		n, err := p.Write(pattern(150))
		if n != 100 || !errors.Is(err, ErrDiskFull) || time.Since(begun) != time.Second {
			t.Errorf("wrote %d, %v, after %v; want 100, ErrDiskFull, 1s", n, err, time.Since(begun))
		}
		mustRead(t, p, pattern(100))
		mustWrite(t, p, pattern(100))
	})
}
