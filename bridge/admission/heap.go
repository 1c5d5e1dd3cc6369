package admission

// heap is a binary heap whose elements store their indexes, so that any element can be removed.
// container/heap would cost an interface's allocation and calls for each request that waits.
type heap[T any, O order[T]] []*T

// order is the order of a heap. Its zero value is used.
type order[T any] interface {
	before(a, b *T) bool
	index(*T) *int32 // where an element stores its index; -1: in no heap
}

func (h heap[T, O]) first() *T {
	if len(h) == 0 {
		return nil
	}
	return h[0]
}

func (h *heap[T, O]) push(x *T) {
	var by O
	*h = append(*h, x)
	*by.index(x) = int32(len(*h) - 1)
	h.up(len(*h) - 1)
}

func (h *heap[T, O]) remove(x *T) {
	var by O
	s := *h
	last := len(s) - 1
	i := int(*by.index(x))
	if i != last {
		s[i] = s[last]
		*by.index(s[i]) = int32(i)
	}
	s[last] = nil
	*h = s[:last]
	if i != last {
		h.fix(s[i])
	}
	*by.index(x) = -1
}

// fix moves x to where it belongs after its order has changed.
func (h heap[T, O]) fix(x *T) {
	var by O
	if i := int(*by.index(x)); !h.down(i) {
		h.up(i)
	}
}

func (h heap[T, O]) up(i int) {
	var by O
	for i > 0 {
		parent := (i - 1) / 2
		if !by.before(h[i], h[parent]) {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

func (h heap[T, O]) down(i int) (moved bool) {
	var by O
	for {
		least := 2*i + 1
		if least >= len(h) {
			return moved
		}
		if right := least + 1; right < len(h) && by.before(h[right], h[least]) {
			least = right
		}
		if !by.before(h[least], h[i]) {
			return moved
		}
		h.swap(i, least)
		i, moved = least, true
	}
}

func (h heap[T, O]) swap(i, j int) {
	var by O
	h[i], h[j] = h[j], h[i]
	*by.index(h[i]), *by.index(h[j]) = int32(i), int32(j)
}

// byDeadline orders waiting requests by their deadlines.
type byDeadline struct{}

func (byDeadline) before(a, b *entry) bool { return a.deadline < b.deadline }
func (byDeadline) index(e *entry) *int32   { return &e.deadlineIndex }
