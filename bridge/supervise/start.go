package supervise

import (
	"context"
	"time"
)

// peekEvery is how often the connections that wait for a new child are looked at. A look
// takes 0.1 ms or so.
const peekEvery = 250 * time.Millisecond

// watch finds out when a child that gets no requests yet is ready for them.
func (k *keeper) watch(s *slot) {
	k.unwatch(s)
	ctx, cancel := context.WithCancel(k.ctx)
	ready := make(chan struct{})
	s.ready, s.unready = ready, cancel
	k.tasks.Go(func() {
		defer cancel()
		if k.await(ctx, s.socket) == nil {
			close(ready)
			k.nudge()
		}
	})
}

// unwatch ends that.
func (k *keeper) unwatch(s *slot) {
	if s.unready != nil {
		s.unready()
		s.ready, s.unready = nil, nil
	}
}

// await returns nil when a child is ready.
func (k *keeper) await(ctx context.Context, s *socket) error {
	if k.plan.Ready == nil {
		return k.program.accepts(ctx, s)
	}
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		if k.plan.Ready(ctx, s.addr) == nil {
			return nil
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
	}
}

// checkStart deals with a child that has not answered yet.
func (k *keeper) checkStart(s *slot, now time.Time) {
	deadline := s.machine.begun.Add(k.plan.StartTimeout)
	switch {
	case s.cause != "":
		return // it is being ended
	case s.ready != nil && isClosed(s.ready):
		if outlasted := s.machine.begun.Add(probation); now.Before(outlasted) {
			k.at(outlasted) // it may end as soon as it has begun
			return
		}
		k.unwatch(s)
		k.step(s, now, readied)
		k.come(nil)
		k.expose(s)
		if old := s.replaces; old != nil {
			s.replaces, old.successor = nil, s
			k.retire(old, now)
			if s.generation < k.renewal.generation {
				k.outdate(s, restarted) // that was asked for after its start
			}
		}
		return
	case s.ready != nil:
	case s.machine.state == Ready:
		return
	default:
		if k.peek(s, now); s.machine.state == Ready || s.queueing.IsZero() {
			return
		}
		deadline = s.queueing.Add(k.plan.StartTimeout)
	}
	k.at(deadline)
	if !now.Before(deadline) {
		k.kill(s, notReady, k.dumpAndEnd)
	}
}

// peek looks whether a child that gets requests has begun to accept them.
func (k *keeper) peek(s *slot, now time.Time) {
	if now.Before(s.lookAt) {
		k.at(s.lookAt)
		return
	}
	n, known := k.program.queued(s.socket)
	if !known {
		s.lookAt = now.Add(time.Hour)
		return
	}
	s.lookAt = now.Add(peekEvery)
	k.at(s.lookAt)
	switch {
	case n > 0 && s.queueing.IsZero():
		s.queueing = now
	case n == 0 && !s.queueing.IsZero():
		s.queueing = time.Time{}
		k.step(s, now, readied)
		k.come(nil)
	}
}

// come tells who waits for the first child what has come of it: nil if it is ready.
func (k *keeper) come(err error) {
	select {
	case k.first <- err:
	default: // it was not the first
	}
}
