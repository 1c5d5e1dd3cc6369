package spool

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
)

// What is written comes out, in order, whatever the budgets and the sizes of
// reads and writes are; the writer runs ahead as far as it is let.
func TestPipeLikeBytesBuffer(t *testing.T) {
	for i, c := range []Config{
		{},
		{Buffer: 1},
		{Buffer: 1000},
		{Buffer: 5000},
		{Memory: 1},
		{Memory: 20 << 10},
		{Buffer: 1000, Disk: 1},
		{Buffer: 1000, Disk: 3000},
		{Disk: blockSize + 1},
		{Memory: 1, Disk: 1},
	} {
		s := newStore(t, c)
		var wg sync.WaitGroup
		for seed := range 4 {
			wg.Go(func() { checkPipe(t, s, rand.NewPCG(uint64(i), uint64(seed))) })
		}
		wg.Wait()
	}
}

func checkPipe(t *testing.T, s *Store, seed rand.Source) {
	rnd := rand.New(seed)
	data := pattern(rnd.IntN(2 << 20))
	writes, reads := sizes(rnd), sizes(rnd)
	p := s.NewPipe(Owner{})
	defer p.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for i, rest := 0, data; len(rest) > 0; i++ {
			n, err := p.Write(rest[:min(len(rest), writes[i%len(writes)])])
			if err != nil {
				t.Errorf("%+v: Write: %v", s.config, err)
				break
			}
			if u := s.Stats(); u.Memory > s.config.Memory || u.Disk > s.config.Disk {
				t.Errorf("%+v: in use: %+v", s.config, u)
			}
			rest = rest[n:]
		}
		p.CloseWrite(nil)
	})
	var got bytes.Buffer
	for i := 0; ; i++ {
		b := make([]byte, reads[i%len(reads)])
		n, err := p.Read(b)
		got.Write(b[:n])
		if err == io.EOF {
			break
		}
		if err != nil || n == 0 {
			t.Errorf("%+v: Read = %d, %v", s.config, n, err)
			break
		}
	}
	if !bytes.Equal(got.Bytes(), data) {
		t.Errorf("%+v: %d bytes came out, %d went in, or their order differs", s.config, got.Len(), len(data))
	}
}

// sizes are small for a while and then large, so that either side gets ahead.
func sizes(rnd *rand.Rand) []int {
	var s []int
	for range 50 {
		largest := 1 << (8 + rnd.IntN(11))
		for range 10 {
			s = append(s, 1+rnd.IntN(largest))
		}
	}
	return s
}

// The same step by step in one goroutine, against bytes.Buffer.
func TestPipeStepByStep(t *testing.T) {
	for _, c := range []Config{{}, {Buffer: 1}, {Buffer: 1000}, {Buffer: 5000}, {Memory: 1}, {Memory: 20 << 10}} {
		rnd := rand.New(rand.NewPCG(3, 4))
		p := newStore(t, c).NewPipe(Owner{})
		var want bytes.Buffer
		data := pattern(1 << 20)
		for range 2000 {
			n := rnd.IntN(1 << (1 + rnd.IntN(18)))
			if rnd.IntN(2) == 0 {
				off := rnd.IntN(len(data) - n)
				mustWrite(t, p, data[off:off+n])
				want.Write(data[off : off+n])
			} else {
				mustRead(t, p, want.Next(n))
			}
			if p.Len() != int64(want.Len()) {
				t.Fatalf("%+v: Len() = %d, want %d", c, p.Len(), want.Len())
			}
		}
		p.CloseWrite(nil)
		if got, err := io.ReadAll(p); err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%+v: at the end: %d bytes, %v, want %d", c, len(got), err, want.Len())
		}
		p.Close()
	}
}

// Read, Write, CloseWrite and Close may meet at any moment.
func TestPipeConcurrentClose(t *testing.T) {
	data := pattern(4000)
	s := newStore(t, Config{Buffer: 500, Memory: 2000, Disk: 3000})
	var pipes sync.WaitGroup
	for worker := range 4 {
		pipes.Go(func() {
			for i := range 200 {
				p := s.NewPipe(Owner{})
				var wg sync.WaitGroup
				wg.Go(func() {
					for rest := data; len(rest) > 0; rest = rest[200:] {
						if i%25 == len(rest)/200 {
							wg.Go(func() { p.Close() })
						}
						if _, err := p.Write(rest[:200]); err != nil && !errors.Is(err, ErrClosed) {
							t.Errorf("Write: %v", err)
						}
					}
					p.CloseWrite(nil)
				})
				// Some readers are fast, some take a piece and leave.
				got, err := io.ReadAll(io.LimitReader(p, int64(1000+3000*(worker%2))))
				if err != nil && !errors.Is(err, ErrClosed) {
					t.Errorf("Read: %v", err)
				}
				if !bytes.HasPrefix(data, got) {
					t.Error("read something else than was written")
				}
				p.Close()
				wg.Wait()
			}
		})
	}
	pipes.Wait()
}
