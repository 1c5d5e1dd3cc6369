package spool

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
)

func TestBufferStaysInMemory(t *testing.T) {
	s := newStore(t, Config{})
	b := s.NewBuffer(Owner{}, -1)
	defer b.Close()
	mustWrite(t, b, []byte("a small "))
	mustWrite(t, b, []byte("body"))
	wantStats(t, s, Stats{Buffers: 1, Small: 4 << 10})

	if got, ok := b.Bytes(); !ok || string(got) != "a small body" {
		t.Errorf("Bytes() = %q, %v", got, ok)
	}
	mustWrite(t, b, pattern(64<<10-12))
	wantStats(t, s, Stats{Buffers: 1, Memory: 64 << 10})
	if got, ok := b.Bytes(); !ok || len(got) != 64<<10 || cap(got) != len(got) {
		t.Errorf("Bytes() = %d bytes, %v", len(got), ok)
	}
}

func TestBufferGoesToDisk(t *testing.T) {
	s := newStore(t, Config{Buffer: 64 << 10})
	b := s.NewBuffer(Owner{}, -1)
	defer b.Close()
	want := pattern(64<<10 + 1)
	mustWrite(t, b, want[:64<<10])
	mustWrite(t, b, want[64<<10:])
	wantStats(t, s, Stats{Buffers: 1, Disk: 64<<10 + 1, Files: 1})
	if _, ok := b.Bytes(); ok {
		t.Error("Bytes() returned what is in a file")
	}
	for range 2 { // replay
		if err := iotest.TestReader(b.NewReader(), want); err != nil {
			t.Error(err)
		}
	}
}

func TestBufferEmpty(t *testing.T) {
	s := newStore(t, Config{})
	b := s.NewBuffer(Owner{}, 0)
	defer b.Close()
	mustWrite(t, b, nil)
	wantStats(t, s, Stats{Buffers: 1})
	if got, ok := b.Bytes(); !ok || len(got) > 0 {
		t.Errorf("Bytes() = %q, %v", got, ok)
	}
	if got, err := io.ReadAll(b.NewReader()); err != nil || len(got) > 0 {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestBufferRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config Config
		limit  int64
		first  int
		second int
		want   error
		text   string
	}{
		{"over the limit in memory", Config{}, 10, 10, 1, ErrTooLarge, "limit of 10 bytes"},
		{"over the limit on disk", Config{Buffer: 4}, 10, 8, 3, ErrTooLarge, "limit of 10 bytes"},
		{"limit zero", Config{}, 0, 0, 1, ErrTooLarge, "limit of 0 bytes"},
		{"over the disk budget from memory", Config{Buffer: 100, Memory: 1, Disk: 100}, -1, 100, 1, ErrDiskFull, "hold 100 bytes"},
		{"over the disk budget on disk", Config{Buffer: 4, Memory: 1, Disk: alone(100)}, -1, 100, 1, ErrDiskFull, "hold 114 bytes"},
		{"over both budgets at once", Config{Memory: 1, Disk: 5000}, -1, 0, 5001, ErrDiskFull, "hold 5000 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStore(t, tt.config)
			b := s.NewBuffer(Owner{}, tt.limit)
			defer b.Close()
			before := pattern(tt.first)
			mustWrite(t, b, before)
			n, err := b.Write(make([]byte, tt.second))
			if n != 0 || !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Fatalf("Write = %d, %v, want %v and %q", n, err, tt.want, tt.text)
			}
			// One byte would fit where three did not; the body would have a hole.
			if n, err := b.Write([]byte("x")); n != 0 || !errors.Is(err, tt.want) {
				t.Errorf("next Write = %d, %v, want %v", n, err, tt.want)
			}
			if got, err := io.ReadAll(b.NewReader()); !bytes.Equal(got, before) || err != nil {
				t.Errorf("read %d bytes, %v, want the %d written before", len(got), err, tt.first)
			}
			if b.Len() != int64(tt.first) {
				t.Errorf("Len() = %d, want %d", b.Len(), tt.first)
			}
		})
	}
}

// All memory in use elsewhere: a body that would fit goes to disk at once.
func TestBufferWithoutMemory(t *testing.T) {
	s := newStore(t, Config{Memory: lone(16 << 10)})
	first, second := s.NewBuffer(Owner{}, -1), s.NewBuffer(Owner{}, -1)
	mustWrite(t, first, pattern(5000))
	mustWrite(t, second, pattern(6000))
	wantStats(t, s, Stats{Buffers: 2, Memory: 16 << 10, Disk: 6000, Files: 1})
	first.Close()
	wantStats(t, s, Stats{Buffers: 1, Disk: 6000, Files: 1})
	second.Close()
}

// A small body needs nothing that others could have taken.
func TestBufferSmallWithoutBudget(t *testing.T) {
	s := newStore(t, Config{Memory: 1, Disk: 1})
	b := s.NewBuffer(Owner{}, -1)
	defer b.Close()
	if n, err := b.ReadFrom(bytes.NewReader(pattern(4 << 10))); n != 4<<10 || err != nil {
		t.Fatalf("ReadFrom = %d, %v", n, err)
	}
	if got, ok := b.Bytes(); !ok || !bytes.Equal(got, pattern(4<<10)) {
		t.Errorf("Bytes() = %d bytes, %v", len(got), ok)
	}
	wantStats(t, s, Stats{Buffers: 1, Small: 4 << 10})
}

// What the disk has no room for stays in memory as long as there is some, behind
// what is on disk already.
func TestBufferBeyondDisk(t *testing.T) {
	s := newStore(t, Config{Buffer: 16 << 10, Memory: lone(48 << 10), Disk: alone(20_000)})
	b := s.NewBuffer(Owner{}, -1)
	defer b.Close()
	want := pattern(20_000 + 48<<10 + 1)
	mustWrite(t, b, want[:20_000])
	mustWrite(t, b, want[20_000:20_000+32<<10])
	mustWrite(t, b, want[20_000+32<<10:20_000+48<<10])
	wantStats(t, s, Stats{Buffers: 1, Memory: 48 << 10, Disk: 20_000, Files: 1})
	if n, err := b.Write(want[len(want)-1:]); n != 0 || !errors.Is(err, ErrDiskFull) {
		t.Errorf("Write = %d, %v, want ErrDiskFull", n, err)
	}
	if err := iotest.TestReader(b.NewReader(), want[:len(want)-1]); err != nil {
		t.Error(err)
	}
}

func TestBufferReadFrom(t *testing.T) {
	want := pattern(300 << 10)
	for name, r := range map[string]io.Reader{
		"large reads":   bytes.NewReader(want),
		"single bytes":  iotest.OneByteReader(bytes.NewReader(want[:5000])),
		"data with EOF": iotest.DataErrReader(bytes.NewReader(want)),
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, Config{})
			b := s.NewBuffer(Owner{}, -1)
			defer b.Close()
			n, err := io.Copy(b, struct{ io.Reader }{r})
			if err != nil || n != b.Len() {
				t.Fatalf("copied %d, %v; Len() %d", n, err, b.Len())
			}
			if got, err := io.ReadAll(b.NewReader()); err != nil || !bytes.Equal(got, want[:n]) {
				t.Errorf("read %d bytes, %v", len(got), err)
			}
		})
	}
}

func TestBufferReadFromFails(t *testing.T) {
	broken := errors.New("connection reset")
	for _, tt := range []struct {
		name  string
		r     io.Reader
		limit int64
		want  error
		n     int64
		kept  int64
	}{
		{"source", io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken)), -1, broken, 4, 4},
		{"limit", io.MultiReader(strings.NewReader("half"), strings.NewReader("rest")), 7, ErrTooLarge, 8, 0},
		{"limit beyond a page", io.MultiReader(bytes.NewReader(pattern(4096)), strings.NewReader("rest")), 4099, ErrTooLarge, 4100, 4096},
		{"no progress", emptyReader{}, -1, io.ErrNoProgress, 0, 0},
		{"no progress beyond a page", io.MultiReader(bytes.NewReader(pattern(5000)), emptyReader{}), -1, io.ErrNoProgress, 5000, 5000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newStore(t, Config{}).NewBuffer(Owner{}, tt.limit)
			defer b.Close()
			n, err := b.ReadFrom(tt.r)
			if n != tt.n || !errors.Is(err, tt.want) || b.Len() != tt.kept {
				t.Errorf("ReadFrom = %d, %v, Len() = %d; want %d, %v, %d", n, err, b.Len(), tt.n, tt.want, tt.kept)
			}
		})
	}
}

type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, nil }

// An upload that waits holds one page before the first byte, and another for what
// comes then, whatever the budget.
func TestBufferReadFromMemory(t *testing.T) {
	for _, sent := range []int{0, 100, 4 << 10} {
		s := newStore(t, Config{Memory: 1})
		b := s.NewBuffer(Owner{}, -1)
		var waiting Stats
		_, err := b.ReadFrom(io.MultiReader(bytes.NewReader(pattern(sent)), readerFunc(func([]byte) (int, error) {
			waiting = held(s)
			return 0, io.EOF
		})))
		want := int64(4<<10 + sent/(4<<10)*(4<<10))
		if err != nil || waiting != (Stats{Buffers: 1, Small: want}) {
			t.Errorf("in use after %d bytes: %+v, %v; want %d bytes", sent, waiting, err, want)
		}
		b.Close()
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestBufferClosed(t *testing.T) {
	s := newStore(t, Config{Buffer: 8})
	b := s.NewBuffer(Owner{}, -1)
	mustWrite(t, b, pattern(100))
	r := b.NewReader()
	for range 2 {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		wantStats(t, s, Stats{})
	}
	if _, err := b.Write([]byte("x")); !errors.Is(err, ErrClosed) {
		t.Errorf("Write: %v", err)
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("Read: %v", err)
	}
	if _, ok := b.Bytes(); ok {
		t.Error("Bytes() after Close")
	}
}

// Any sequence of writes, across the borders of every budget, reads back as it
// was written, and what is in use never exceeds the budgets.
func TestBufferLikeBytesBuffer(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, c := range []Config{
		{Buffer: 1},
		{Buffer: 1000},
		{Buffer: 5000},
		{Buffer: 70_000},
		{Memory: 1},
		{Memory: 4 << 10},
		{Memory: 20 << 10},
		{Memory: 80 << 10},
		{Buffer: 1000, Disk: 3000},
		{Disk: 200_000},
		{Memory: 1, Disk: 1},
	} {
		s := newStore(t, c)
		for range 30 {
			b := s.NewBuffer(Owner{}, -1)
			var want bytes.Buffer
			for range rnd.IntN(30) {
				p := pattern(rnd.IntN(1 << rnd.IntN(15)))
				if n, err := b.Write(p); err == nil {
					want.Write(p)
				} else if n != 0 || !errors.Is(err, ErrDiskFull) {
					t.Fatalf("%+v: Write of %d bytes = %d, %v", c, len(p), n, err)
				}
				if u := s.Stats(); u.Memory > s.config.Memory || u.Disk > s.config.Disk {
					t.Fatalf("%+v: in use: %+v", c, u)
				}
			}
			if got, err := io.ReadAll(b.NewReader()); err != nil || !bytes.Equal(got, want.Bytes()) {
				t.Fatalf("%+v: read %d bytes, %v, want %d", c, len(got), err, want.Len())
			}
			if got, ok := b.Bytes(); ok && !bytes.Equal(got, want.Bytes()) {
				t.Fatalf("%+v: Bytes() differs", c)
			}
			b.Close()
		}
	}
}

// Readers, the writer and Close may meet at any moment; what is read is always a
// beginning of what was written, never another body's bytes.
func TestBufferConcurrentClose(t *testing.T) {
	want := pattern(3000)
	s := newStore(t, Config{Buffer: 1000})
	for i := range 300 {
		b := s.NewBuffer(Owner{}, -1)
		var wg sync.WaitGroup
		wg.Go(func() {
			for rest := want; len(rest) > 0; rest = rest[100:] {
				if _, err := b.Write(rest[:100]); err != nil {
					if !errors.Is(err, ErrClosed) {
						t.Errorf("Write: %v", err)
					}
					return
				}
				if i%30 == len(rest)/100%30 {
					wg.Go(func() { b.Close() })
				}
			}
		})
		for range 2 {
			wg.Go(func() {
				got, err := io.ReadAll(b.NewReader())
				if err != nil && !errors.Is(err, ErrClosed) {
					t.Errorf("Read: %v", err)
				}
				if !bytes.HasPrefix(want, got) {
					t.Error("read something else than was written")
				}
			})
		}
		wg.Wait()
		b.Close()
		wantStats(t, s, Stats{})
	}
}
