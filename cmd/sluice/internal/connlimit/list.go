package connlimit

// node is a connection's place in a list.
type node struct {
	prev, next *node
	entry      *entry
}

// list is a doubly linked list, oldest first. The nodes are part of the entries, so that moving an
// entry allocates nothing.
type list struct{ root node }

func (l *list) init() { l.root.prev, l.root.next = &l.root, &l.root }

func (l *list) push(n *node) {
	n.prev, n.next = l.root.prev, &l.root
	n.prev.next, l.root.prev = n, n
}

func (n *node) remove() {
	n.prev.next, n.next.prev = n.next, n.prev
	n.prev, n.next = nil, nil
}

// oldest returns the first entry, nil if there is none.
func (l *list) oldest() *entry { return l.root.next.entry }
