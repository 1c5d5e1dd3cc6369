package admission

// chain is a doubly linked list whose elements contain their links. An element that is known can be
// removed in constant time and without allocation. An element is in at most one chain per link.
type chain[T any] struct {
	head, tail *link[T]
	n          int
}

type link[T any] struct {
	of         *T // the element that the link is of
	next, prev *link[T]
	in         *chain[T] // nil: in none
}

func (c *chain[T]) first() *T {
	if c.head == nil {
		return nil
	}
	return c.head.of
}

func (c *chain[T]) pushBack(l *link[T]) {
	l.in, l.prev, l.next = c, c.tail, nil
	if c.tail == nil {
		c.head = l
	} else {
		c.tail.next = l
	}
	c.tail = l
	c.n++
}

func (c *chain[T]) pushFront(l *link[T]) {
	l.in, l.prev, l.next = c, nil, c.head
	if c.head == nil {
		c.tail = l
	} else {
		c.head.prev = l
	}
	c.head = l
	c.n++
}

// insert inserts l before the first element for which after is true. It looks at a bounded number
// of elements at each end of the chain.
func (c *chain[T]) insert(l *link[T], after func(*T) bool) {
	next := c.head
	for range batch {
		if next == nil {
			break
		}
		if after(next.of) {
			c.insertBefore(l, next)
			return
		}
		next = next.next
	}
	prev := c.tail
	for range batch {
		if prev == nil || !after(prev.of) {
			break
		}
		prev = prev.prev
	}
	if prev == nil || prev.next == nil {
		c.pushBack(l)
		return
	}
	c.insertBefore(l, prev.next)
}

func (c *chain[T]) insertBefore(l, next *link[T]) {
	if next.prev == nil {
		c.pushFront(l)
		return
	}
	l.in, l.prev, l.next = c, next.prev, next
	next.prev.next = l
	next.prev = l
	c.n++
}

// leave removes l from its chain, if it is in one.
func (l *link[T]) leave() {
	c := l.in
	if c == nil {
		return
	}
	if l.prev == nil {
		c.head = l.next
	} else {
		l.prev.next = l.next
	}
	if l.next == nil {
		c.tail = l.prev
	} else {
		l.next.prev = l.prev
	}
	l.next, l.prev, l.in = nil, nil, nil
	c.n--
}
