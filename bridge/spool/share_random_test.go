package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// Bodies of a few clients live and die at random in a store that is too small for
// them, on a disk that fails now and then. Whatever happens, what is in use stays
// within the budgets and is the sum of what the bodies hold, what comes out is what
// went in, nobody is cut twice, nor after Close, and in the end nothing is left.
func TestSharesAtRandom(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed)
			var lives sync.WaitGroup
			for i := range uint64(12) {
				lives.Go(func() {
					rnd := rand.New(rand.NewPCG(seed, i))
					for range 60 {
						w.live(rnd)
						w.check()
					}
				})
			}
			lives.Wait()
			t.Logf("%+v, %d cut", w.s.config, w.s.Stats().Cut)
			w.s.diskWorked()
		})
	}
}

// world is a store and all bodies that are in it.
type world struct {
	t *testing.T
	s *Store

	mu  sync.Mutex
	all map[*holding]struct{}
}

func newWorld(t *testing.T, seed uint64) *world {
	rnd := rand.New(rand.NewPCG(seed, 99))
	s := newStore(t, Config{
		Buffer: 1 << (8 + rnd.IntN(8)),
		Memory: 1 << (10 + rnd.IntN(8)),
		Disk:   1 << (13 + rnd.IntN(4)),
		Files:  []int{4, 8, 1 << 20}[rnd.IntN(3)],
	})
	return &world{t: t, s: s, all: make(map[*holding]struct{})}
}

func (w *world) note(h *holding) (forget func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all[h] = struct{}{}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.all, h)
	}
}

// check compares the accounts with each other, at one instant.
func (w *world) check() {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.s
	s.mu.Lock()
	defer s.mu.Unlock()
	var memory, disk [numKinds]int64
	cuttable := 0
	for key, sh := range s.shares {
		if sh.shareKey != key || sh.memory < 0 || sh.disk < 0 || sh.bodies < 0 {
			w.t.Errorf("a share: %+v", sh)
		}
		memory[sh.kind] += sh.memory
		disk[sh.kind] += sh.disk
		cuttable += len(sh.cuttable)
	}
	if memory != s.memory.by || memory[request]+memory[answer] != s.memory.used || s.memory.used > s.memory.size {
		w.t.Errorf("memory %+v, the shares' %d", s.memory, memory)
	}
	if disk != s.disk.by || disk[request]+disk[answer] != s.disk.used || s.disk.used > s.disk.size || s.inUse.Disk > s.disk.used {
		w.t.Errorf("disk %+v, %d of it in files, the shares' %d", s.disk, s.inUse.Disk, disk)
	}
	if disk[answer] > s.disk.size-s.disk.size/8 {
		w.t.Errorf("answers have %d of %d bytes of disk", disk[answer], s.disk.size)
	}
	var claimed, wanted int64
	held := 0
	for h := range w.all {
		if c := h.claim; c != nil {
			claimed += c.bytes
			wanted += c.wanted
			if _, ok := h.share.cuttable[h]; ok {
				held++
			}
		}
	}
	if claimed != s.disk.used || wanted != s.wanted || held != cuttable {
		w.t.Errorf("bodies claim %d and want %d, the store has %d and %d; %d of %d can be cut", claimed, wanted, s.disk.used, s.wanted, held, cuttable)
	}
}

// live is the life of one body.
func (w *world) live(rnd *rand.Rand) {
	if rnd.IntN(30) == 0 {
		w.s.diskFailed(errors.New("a test"))
	}
	owner := &liveOwner{w: w}
	client := Client{}
	if rnd.IntN(4) > 0 {
		client = ClientOf(fmt.Sprintf("192.0.2.%d", rnd.IntN(3)))
	}
	data := pattern(rnd.IntN(1 << (8 + rnd.IntN(9))))
	if rnd.IntN(2) == 0 {
		w.answer(rnd, Owner{client, owner}, data)
	} else {
		w.request(rnd, Owner{client, owner}, data)
	}
	owner.closed.Store(true)
	if rnd.IntN(30) == 0 {
		w.s.diskWorked()
	}
}

type liveOwner struct {
	w      *world
	cut    atomic.Int32
	closed atomic.Bool
}

func (o *liveOwner) Cut() {
	if o.cut.Add(1) > 1 || o.closed.Load() {
		o.w.t.Error("cut twice, or after Close")
	}
}

func (o *liveOwner) Pressing() bool { return o.cut.Load() == 0 }

// answer is written by a goroutine of its own, and read to its end or left.
func (w *world) answer(rnd *rand.Rand, o Owner, data []byte) {
	p := w.s.NewPipe(o)
	forget := w.note(&p.holding)
	piece, leave := 1+rnd.IntN(1+len(data)), rnd.IntN(4) == 0
	var writer sync.WaitGroup
	writer.Go(func() {
		for rest := data; len(rest) > 0; {
			n, err := p.Write(rest[:min(len(rest), piece)])
			if w.wants(&p.holding) {
				w.t.Error("room is kept for a Write that has ended")
			}
			if rest = rest[n:]; err != nil {
				if !errors.Is(err, ErrCut) && !errors.Is(err, ErrClosed) {
					w.t.Errorf("Write: %v", err)
				}
				return
			}
		}
		p.CloseWrite(nil)
	})
	var from io.Reader = &checking{p, 1 + rnd.IntN(10_000), w.check}
	if leave {
		from = io.LimitReader(from, int64(len(data)/2))
	}
	got, err := io.ReadAll(from)
	p.Close()
	cut := w.doomed(&p.holding)
	if !bytes.HasPrefix(data, got) || err == nil && !leave && len(got) < len(data) || err != nil && !(errors.Is(err, ErrCut) && cut) {
		w.t.Errorf("an answer of %d bytes: read %d, %v, cut: %v", len(data), len(got), err, cut)
	}
	writer.Wait()
	forget()
}

// doomed reports whether a body was chosen to be given up.
func (w *world) doomed(h *holding) bool {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	return h.claim != nil && h.claim.beingCut
}

// wants reports whether room is being made for a body.
func (w *world) wants(h *holding) bool {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	return h.claim != nil && h.claim.wanted > 0
}

// request is received, by and by, and read twice.
func (w *world) request(rnd *rand.Rand, o Owner, data []byte) {
	b := w.s.NewBuffer(o, -1)
	forget := w.note(&b.holding)
	defer forget()
	defer b.Close()
	source := &checking{bytes.NewReader(data), 1 + rnd.IntN(10_000), w.check}
	if _, err := b.ReadFrom(source); err != nil {
		cut := w.doomed(&b.holding)
		if !errors.Is(err, ErrDiskFull) && !errors.Is(err, ErrDisk) && !(errors.Is(err, ErrCut) && cut) {
			w.t.Errorf("ReadFrom: %v, cut: %v", err, cut)
		}
		return
	}
	for range 2 {
		if got, err := io.ReadAll(b.NewReader()); err != nil || !bytes.Equal(got, data) {
			w.t.Errorf("a request of %d bytes: read %d, %v", len(data), len(got), err)
		}
	}
}

// checking is a reader that gives pieces, and has others do something before each.
type checking struct {
	r     io.Reader
	piece int
	check func()
}

func (c *checking) Read(p []byte) (int, error) {
	c.check()
	runtime.Gosched()
	return c.r.Read(p[:min(len(p), c.piece)])
}
