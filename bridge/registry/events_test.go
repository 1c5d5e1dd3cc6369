package registry

import (
	"slices"
	"testing"
	"testing/synctest"
)

// Events are given out one after the other, and nobody waits for it.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q eventQueue
		var order []int
		slow := make(chan struct{})
		q.put(func() { <-slow; order = append(order, 0) })
		for i := range 3 {
			q.put(func() { order = append(order, i+1) })
		}
		synctest.Wait()
		if len(order) > 0 {
			t.Errorf("%v before the first has ended", order)
		}
		close(slow)
		q.running.Wait()
		q.put(func() { order = append(order, 4) })
		q.running.Wait()
		if !slices.Equal(order, []int{0, 1, 2, 3, 4}) {
			t.Errorf("order %v", order)
		}
	})
}
