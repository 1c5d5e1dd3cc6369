package admission

// deadlines is a heap of the waiting requests, the first to give up on top. It is
// written out rather than container/heap's because that costs an interface call
// per comparison, on every request that waits.
type deadlines []*entry

func (d *deadlines) push(e *entry) {
	*d = append(*d, e)
	e.index = len(*d) - 1
	d.up(e.index)
}

func (d *deadlines) remove(e *entry) {
	h := *d
	last := len(h) - 1
	i := e.index
	if i != last {
		h[i] = h[last]
		h[i].index = i
	}
	h[last] = nil
	*d = h[:last]
	if i != last {
		d.fix(i)
	}
	e.index = -1
}

// fix restores the order after the deadline of element i has changed.
func (d *deadlines) fix(i int) {
	if !d.down(i) {
		d.up(i)
	}
}

func (d *deadlines) up(i int) {
	h := *d
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent].deadline <= h[i].deadline {
			return
		}
		d.swap(i, parent)
		i = parent
	}
}

func (d *deadlines) down(i int) (moved bool) {
	h := *d
	for {
		least := 2*i + 1
		if least >= len(h) {
			return moved
		}
		if right := least + 1; right < len(h) && h[right].deadline < h[least].deadline {
			least = right
		}
		if h[i].deadline <= h[least].deadline {
			return moved
		}
		d.swap(i, least)
		i, moved = least, true
	}
}

func (d *deadlines) swap(i, j int) {
	h := *d
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
