package basicauth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// slow is a check that takes a second.
func slow(right bool) func() bool {
	return func() bool {
		time.Sleep(time.Second)
		return right
	}
}

func digestOf(i int) (d digest) {
	copy(d[:], fmt.Sprint(i))
	return d
}

// No more passwords are checked at once than there may be, and the same one is checked
// once for all that have it.
func TestVerificationsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newVerifier(2)
		var mu sync.Mutex
		checked, at, most := 0, 0, 0
		check := func() bool {
			mu.Lock()
			at++
			checked, most = checked+1, max(most, at)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			at--
			mu.Unlock()
			return true
		}
		var all sync.WaitGroup
		for i := range 8 {
			for range 10 {
				all.Go(func() {
					if right, err := c.do(t.Context(), digestOf(i), fmt.Sprint(i), check); err != nil || !right {
						t.Errorf("%v, %v", right, err)
					}
				})
			}
		}
		start := time.Now()
		all.Wait()
		if checked != 8 || most != 2 || time.Since(start) != 4*time.Second {
			t.Errorf("%d were checked, %d at once, in %v; want 8, 2 and 4s", checked, most, time.Since(start))
		}
		c.wantEmpty(t)
	})
}

func (c *verifier) wantEmpty(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.slots) != 0 || c.waiting != 0 || len(c.clients) != 0 || len(c.pending) != 0 {
		t.Errorf("held at the end: %+v", c)
	}
}

// A flood from one address does not keep others from logging in: they have their turn.
func TestAddressesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newVerifier(1)
		var all sync.WaitGroup
		var mu sync.Mutex
		var order []string
		ask := func(i int, address string) {
			all.Go(func() {
				_, err := c.do(t.Context(), digestOf(i), address, slow(false))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					order = append(order, address)
				}
			})
			synctest.Wait()
		}
		for i := range 80 { // 64 wait, the others are refused
			ask(i, "flood")
		}
		ask(100, "jane")
		ask(101, "joe")
		all.Wait()
		if want := []string{"flood", "jane", "joe", "flood", "flood"}; !slices.Equal(order[:5], want) || len(order) > 7 {
			t.Errorf("served were %v, want %v and little else in 5 s", order, want)
		}
		c.wantEmpty(t)
	})
}

func TestTooManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newVerifier(1)
		var all sync.WaitGroup
		busy := 0
		var mu sync.Mutex
		for i := range maxWaiting + 20 {
			all.Go(func() {
				if _, err := c.do(t.Context(), digestOf(i), fmt.Sprint(i), slow(true)); errors.Is(err, errBusy) {
					mu.Lock()
					busy++
					mu.Unlock()
				}
			})
			synctest.Wait()
		}
		mu.Lock()
		if busy != 19 { // one is being checked
			t.Errorf("%d are refused at once, want 19", busy)
		}
		mu.Unlock()
		start := time.Now()
		all.Wait()
		if waited := time.Since(start); waited > maxWait+time.Second {
			t.Errorf("the last has waited for %v", waited)
		}
		c.wantEmpty(t)
	})
}

// If the client whose request has a password checked leaves, another's goes on with it.
func TestLeaderLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newVerifier(1)
		var all sync.WaitGroup
		all.Go(func() { _, _ = c.do(t.Context(), digestOf(0), "other", slow(true)) })
		synctest.Wait()
		ctx, leave := context.WithCancel(t.Context())
		all.Go(func() {
			if _, err := c.do(ctx, digestOf(1), "a", slow(true)); !errors.Is(err, context.Canceled) {
				t.Errorf("the one that left: %v", err)
			}
		})
		synctest.Wait()
		for range 3 {
			all.Go(func() {
				if right, err := c.do(t.Context(), digestOf(1), "a", slow(true)); !right || err != nil {
					t.Errorf("the one that stayed: %v, %v", right, err)
				}
			})
		}
		gone, leaveToo := context.WithCancel(t.Context())
		all.Go(func() {
			if _, err := c.do(gone, digestOf(1), "a", slow(true)); !errors.Is(err, context.Canceled) {
				t.Errorf("the second that left: %v", err)
			}
		})
		synctest.Wait()
		leaveToo()
		leave()
		all.Wait()
		c.wantEmpty(t)
	})
}

// What is remembered is bounded, and wrong passwords push out no right ones.
func TestCacheIsBounded(t *testing.T) {
	s := newCache()
	s.put(s.digest("jane", "right"), true)
	for i := range 3 * maxCached {
		s.put(s.digest("jane", fmt.Sprint(i)), false)
	}
	if right, known := s.get(s.digest("jane", "right")); !right || !known || len(s.wrong) != maxCached || len(s.right) != 1 {
		t.Errorf("%v %v, %d and %d", right, known, len(s.right), len(s.wrong))
	}
	if _, known := s.get(s.digest("jan", "eright")); known {
		t.Error("another name and password are the same")
	}
	if other := newCache(); other.digest("a", "b") == s.digest("a", "b") {
		t.Error("a digest means something elsewhere")
	}
}

// Once checked, a password costs next to nothing.
func BenchmarkCached(b *testing.B) {
	s := newCache()
	s.put(s.digest("jane", "a password"), true)
	b.ReportAllocs()
	for b.Loop() {
		if right, _ := s.get(s.digest("jane", "a password")); !right {
			b.Fatal("it is wrong")
		}
	}
}
