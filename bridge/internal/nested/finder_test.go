package nested

import (
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// note is a ticket that remembers what it was told.
type note struct {
	mu     sync.Mutex
	depths []int
}

func (n *note) Nested(depth int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.depths = append(n.depths, depth)
}

func (n *note) told() []int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.depths
}

var here = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}

func TestTrack(t *testing.T) {
	f := New(func() []uint64 { return nil })
	defer f.Close()
	for client, tracked := range map[string]bool{
		"127.0.0.1:4711": true, "[::1]:4711": true, "[::ffff:127.0.0.9]:4711": true, "192.0.2.1:4711": true,
		"192.0.2.7:4711": false, "@": false, "": false, "127.0.0.1": false, "[fe80::1%eth0]:1": false,
	} {
		if r := f.Track(client, here); (r != nil) != tracked {
			t.Errorf("%q is tracked: %v", client, r != nil)
		} else if r != nil {
			r.End()
		}
	}
	if f.Track("127.0.0.1:4711", &net.UnixAddr{Name: "/run/x", Net: "unix"}) != nil {
		t.Error("a request on a unix socket is tracked")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.requests) > 0 {
		t.Errorf("%d are known at the end", len(f.requests))
	}
}

// TestLooksAreShared has many requests wait: they are looked at together, at intervals
// that grow while nothing is found, and by nobody when none waits.
func TestLooksAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New(func() []uint64 { return nil })
		defer f.Close()
		var looks, find atomic.Int64
		f.scan = func(requests []*Request, _ []uint64, _ []int) (depths, _ []int) {
			looks.Add(1)
			time.Sleep(time.Millisecond)
			return slices.Repeat([]int{int(find.Load())}, len(requests)), nil
		}
		wait := func() (*Request, *note) {
			n := new(note)
			r := f.Track("127.0.0.1:4711", here)
			r.Waits(n)
			return r, n
		}
		var requests []*Request
		for range 50 {
			r, _ := wait()
			requests = append(requests, r)
		}
		synctest.Wait()
		time.Sleep(time.Second)
		if n := looks.Load(); n > 2 {
			t.Errorf("%d looks for requests that came together", n)
		}
		for _, r := range requests {
			r.End()
		}
		time.Sleep(time.Minute)
		if n := looks.Load(); n > 2 {
			t.Errorf("%d looks although nobody waits", n)
		}

		looks.Store(0)
		for range 600 { // somebody comes every 100 ms
			r, _ := wait()
			time.Sleep(100 * time.Millisecond)
			r.End()
		}
		if n := looks.Load(); n < 50 || n > 80 {
			t.Errorf("%d looks in a minute that found nothing, want one a second", n)
		}

		find.Store(2)
		r, n := wait()
		time.Sleep(2 * time.Second)
		if told := n.told(); len(told) != 1 || told[0] != 2 {
			t.Errorf("told %v, want 2 once", told)
		}
		r.End()
		if f.fullSchedule.pause != f.fullSchedule.least {
			t.Errorf("the next look is after %v, want %v: there is something to be found", f.fullSchedule.pause, f.fullSchedule.least)
		}
	})
}

// TestSlowLooksCostNothing has looks that take long because others have the processors: what comes after
// one is looked at as soon as ever.
func TestSlowLooksCostNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New(func() []uint64 { return nil })
		defer f.Close()
		f.scan = func(requests []*Request, _ []uint64, _ []int) (depths, application []int) {
			time.Sleep(200 * time.Millisecond)
			return slices.Repeat([]int{1}, len(requests)), nil
		}
		for i := range 3 {
			r, n := f.Track("127.0.0.1:4711", here), new(note)
			r.Waits(n)
			time.Sleep(time.Second)
			if told := n.told(); len(told) != 1 || told[0] != 1 {
				t.Errorf("request %d: told %v within a second, want 1 once", i, told)
			}
			r.End()
		}
	})
}

// TestWhoRunsIsToldToo has a request run that nobody knew to be nested when another one
// is looked at.
func TestWhoRunsIsToldToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New(func() []uint64 { return nil })
		defer f.Close()
		f.lastScan = time.Now() // it is not curious
		left := make(chan struct{})
		f.scan = func(requests []*Request, _ []uint64, _ []int) (depths, _ []int) {
			<-left // it may begin before
			return slices.Repeat([]int{1}, len(requests)), nil
		}
		runs, gone := new(note), new(note)
		r := f.Track("127.0.0.1:1", here)
		defer r.End()
		r.Served(runs, nil, nil, nil)
		leaves := f.Track("127.0.0.1:2", here)
		leaves.Waits(gone)
		leaves.End()
		close(left)
		waits := f.Track("127.0.0.1:3", here)
		defer waits.End()
		waits.Waits(new(note))
		synctest.Wait()
		if told := runs.told(); len(told) != 1 || told[0] != 1 {
			t.Errorf("the one that runs was told %v", told)
		}
		if len(gone.told()) > 0 {
			t.Error("one that has left was told")
		}
	})
}

// TestWhoIsLookedAt has a look be about those of whom nothing is known, and those that are
// being served, in which others may be nested: not about thousands that wait.
func TestWhoIsLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New(func() []uint64 { return nil })
		defer f.Close()
		var looked atomic.Pointer[[]*Request]
		f.scan = func(requests []*Request, _ []uint64, _ []int) (depths, _ []int) {
			looked.Store(&requests)
			return make([]int, len(requests)), nil
		}
		come := func() *Request {
			r := f.Track("127.0.0.1:4711", here)
			r.Waits(new(note))
			return r
		}
		for range 20 {
			defer come().End()
		}
		time.Sleep(2 * time.Second)
		served := come()
		defer served.End()
		time.Sleep(2 * time.Second)
		f.mu.Lock()
		served.served = &socket{inode: 1, unix: true}
		f.mu.Unlock()
		late := come()
		defer late.End()
		time.Sleep(2 * time.Second)
		last := *looked.Load()
		if len(last) != 2 || !slices.Contains(last, served) || !slices.Contains(last, late) {
			t.Errorf("the last look was about %d requests, want the one that is served and the one that has come", len(last))
		}
	})
}

func TestClosed(t *testing.T) {
	f := New(func() []uint64 { return nil })
	r := f.Track("127.0.0.1:1", here)
	f.Close()
	f.Close()
	r.Waits(new(note))
	r.End()
	r.End()
	if f.Track("127.0.0.1:1", here) != nil {
		t.Error("tracked after Close")
	}
}

// TestCurious has nobody wait: one is looked at all the same, now and then.
func TestCurious(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New(func() []uint64 { return nil })
		defer f.Close()
		var looks atomic.Int64
		f.scan = func(requests []*Request, _ []uint64, _ []int) (depths, _ []int) {
			looks.Add(1)
			return slices.Repeat([]int{1}, len(requests)), nil
		}
		n := new(note)
		for range 1000 { // in 100 s
			r := f.Track("127.0.0.1:4711", here)
			time.Sleep(90 * time.Millisecond)
			r.Served(n, nil, nil, nil)
			time.Sleep(10 * time.Millisecond)
			r.End()
		}
		if l, told := looks.Load(), len(n.told()); l < 18 || l > 22 || told != int(l) {
			t.Errorf("%d looks, %d were told, want one every 5 s", l, told)
		}
	})
}

// TestLooksAtTheApplicationFirst has its processes be known: a request is looked for there
// at once, and among all processes if it is not there.
func TestLooksAtTheApplicationFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New(func() []uint64 { return nil })
		defer f.Close()
		var quick, whole, find atomic.Int64
		f.scan = func(requests []*Request, _ []uint64, at []int) (depths, application []int) {
			if at == nil {
				whole.Add(1)
				time.Sleep(5 * time.Millisecond)
				return make([]int, len(requests)), []int{4711}
			}
			quick.Add(1)
			return slices.Repeat([]int{int(find.Load())}, len(requests)), nil
		}
		wait := func(d time.Duration) int {
			n := new(note)
			r := f.Track("127.0.0.1:4711", here)
			r.Waits(n)
			time.Sleep(d)
			r.End()
			synctest.Wait()
			return len(n.told())
		}
		wait(time.Second)
		if quick.Load() > 0 || whole.Load() != 1 {
			t.Errorf("%d quick looks and %d whole ones when no process is known", quick.Load(), whole.Load())
		}
		find.Store(1)
		for range 50 {
			if wait(10*time.Millisecond) != 1 {
				t.Fatal("one of the application's was not told within 10 ms")
			}
		}
		if whole.Load() != 1 {
			t.Errorf("%d whole looks", whole.Load())
		}
		find.Store(0)
		wait(3 * time.Second)
		if n := whole.Load(); n != 2 {
			t.Errorf("%d whole looks, want one more for one that is not known", n)
		}
	})
}
