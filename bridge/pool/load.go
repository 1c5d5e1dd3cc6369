package pool

// Waiting is how many requests have no connection. Unlike Snapshot, it asks nobody.
func (p *Pool) Waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiters.Len()
}

// Connected is how many connections there are to an instance. They are steady if none is
// being made or closed: then the application has accepted them, or they are in its backlog.
// Unlike Snapshot, it asks nobody.
func (p *Pool) Connected(addr string) (n int, steady bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	in := p.find(addr)
	if in == nil {
		return 0, true
	}
	return in.used(), in.count[dialing]+in.count[closing] == 0
}
