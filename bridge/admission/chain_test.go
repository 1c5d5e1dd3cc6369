package admission

import (
	"slices"
	"testing"
)

type number struct {
	n    int
	link link[number]
}

func newNumber(n int) *number {
	e := &number{n: n}
	e.link.of = e
	return e
}

func (c *chain[T]) all() (all []*T) {
	for l := c.head; l != nil; l = l.next {
		all = append(all, l.of)
	}
	return all
}

func TestInsertKeepsTheOrder(t *testing.T) {
	for name, numbers := range map[string][]int{
		"rising":  {1, 2, 3, 4},
		"falling": {4, 3, 2, 1},
		"mixed":   {2, 4, 1, 3},
		"equal":   {1, 2, 2, 1},
	} {
		var c chain[number]
		for _, n := range numbers {
			c.insert(&newNumber(n).link, func(other *number) bool { return other.n > n })
		}
		var got []int
		for _, e := range c.all() {
			got = append(got, e.n)
		}
		want := slices.Sorted(slices.Values(numbers))
		if !slices.Equal(got, want) || c.n != len(want) || c.tail.of.n != want[len(want)-1] {
			t.Errorf("%s: %v, n %d, last %d", name, got, c.n, c.tail.of.n)
		}
	}
}

// TestInsertIntoALongChain: insert finds a place near an end, and does not look at the whole chain.
func TestInsertIntoALongChain(t *testing.T) {
	const n = 10 * batch
	for _, at := range []int{0, batch / 2, n - batch/2, n} {
		var c chain[number]
		for i := range n {
			c.pushBack(&newNumber(2*i + 1).link)
		}
		asked := 0
		c.insert(&newNumber(2*at).link, func(other *number) bool {
			asked++
			return other.n > 2*at
		})
		if got := c.all(); !slices.IsSortedFunc(got, func(a, b *number) int { return a.n - b.n }) || len(got) != n+1 || c.n != n+1 {
			t.Errorf("at %d: not in order, or not all of %d: %d", at, n+1, c.n)
		}
		if asked > 2*batch {
			t.Errorf("at %d: %d asked", at, asked)
		}
	}
}
