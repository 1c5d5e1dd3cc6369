//go:build linux

package loop

import (
	"container/heap"
	"time"
)

// timer is when a connection is to be told that its time is over. It is set many times for each
// time that it expires, mostly to a later time: then its place in the heap stays as it is until it
// comes up.
type timer struct {
	conn  *Conn
	due   moment // 0: never
	at    moment // its place in the heap
	index int    // there, plus 1; 0: it is not there
}

// isSet reports whether t will expire.
func (t *timer) isSet() bool { return t.due != 0 }

// moment is the time since the epoch of timers. It takes a third of the memory of a time.Time.
type moment time.Duration

// timers are the timers of a loop.
type timers struct {
	epoch time.Time
	heap  timerHeap
}

type timerHeap []*timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].at < h[j].at }

func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i+1, j+1
}

func (h *timerHeap) Push(x any) {
	t := x.(*timer)
	*h = append(*h, t)
	t.index = len(*h)
}

func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	t.index = 0
	return t
}

// set has t expire at due; zero: never.
func (s *timers) set(t *timer, due time.Time) {
	t.due = 0
	if due.IsZero() {
		return
	}
	t.due = max(s.moment(due), 1)
	switch {
	case t.index == 0:
		t.at = t.due
		heap.Push(&s.heap, t)
	case t.due < t.at:
		t.at = t.due
		heap.Fix(&s.heap, t.index-1)
	}
}

func (s *timers) moment(t time.Time) moment { return moment(t.Sub(s.epoch)) }

func (s *timers) remove(t *timer) {
	t.due = 0
	if t.index > 0 {
		heap.Remove(&s.heap, t.index-1)
	}
}

// next is when pop may return something; zero: never.
func (s *timers) next() time.Time {
	if len(s.heap) == 0 {
		return time.Time{}
	}
	return s.epoch.Add(time.Duration(s.heap[0].at))
}

// pop returns a connection whose timer has expired, nil if there is none. Then the timer is not set.
func (s *timers) pop(now time.Time) *Conn {
	for at := s.moment(now); len(s.heap) > 0 && s.heap[0].at <= at; {
		t := s.heap[0]
		switch {
		case !t.isSet():
			heap.Pop(&s.heap)
		case t.due > at:
			t.at = t.due
			heap.Fix(&s.heap, 0)
		default:
			heap.Pop(&s.heap)
			t.due = 0
			return t.conn
		}
	}
	return nil
}
