package supervise

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// peekEvery is how often the connections that wait for a new child are looked at. A look
// takes 0.1 ms or so.
const peekEvery = 250 * time.Millisecond

// mostPeeks is how often that time is doubled while nobody wants the child.
const mostPeeks = 4

// watch finds out when a child that gets no requests yet is ready for them.
func (k *keeper) watch(s *slot) {
	k.unwatch(s)
	ctx, cancel := context.WithCancel(k.ctx)
	question := k.plan.Ready
	ready, refusal := make(chan struct{}), new(atomic.Pointer[string])
	s.ready, s.unready, s.refusal = ready, cancel, refusal
	k.tasks.Go(func() {
		defer cancel()
		if k.await(ctx, s.socket, question, refusal) == nil {
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

// await returns nil when a child is ready. Until then refusal is why it is not.
func (k *keeper) await(ctx context.Context, s *socket, question func(context.Context, string) error, refusal *atomic.Pointer[string]) error {
	if question == nil {
		return k.program.accepts(ctx, s)
	}
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := question(ctx, s.addr)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			refusal.Store(new(err.Error()))
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
	case s.ends():
		return // what is left of it may take a while to go
	case !s.launched:
	case s.ready != nil && isClosed(s.ready):
		if outlasted := s.machine.begun.Add(probation); now.Before(outlasted) {
			k.at(outlasted) // it may end as soon as it has begun
			return
		}
		k.unwatch(s)
		k.step(s, now, readied)
		k.come(nil)
		k.tellReady(s, now)
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
		attrs := []any{"instance", s.socket.addr, "pid", s.child.pid(), "start_timeout", k.plan.StartTimeout}
		if !s.launched {
			attrs = append(attrs, "error", errNotLaunched.Error())
		} else if s.refusal != nil && s.refusal.Load() != nil {
			attrs = append(attrs, "error", *s.refusal.Load())
		}
		k.log.Error("a process is not ready in time; it is ended", attrs...)
		if !s.launched {
			k.kill(s, notReady, process.kill)
			return
		}
		k.kill(s, notReady, k.dumpAndEnd)
	}
}

// queue is how many connections wait to be accepted.
type queue struct {
	n     int
	known bool
}

// peek looks whether a child that gets requests has begun to accept them.
func (k *keeper) peek(s *slot, now time.Time) {
	q, answered := s.peeking.take()
	switch {
	case answered:
		k.noteQueue(s, now, q)
	case s.peeking.isOut():
		return
	case now.Before(s.lookAt):
		k.at(s.lookAt)
		return
	default:
		s.peeking = send(k, func() (q queue) { q.n, q.known = k.program.queued(s.socket); return q })
		return
	}
	k.at(s.lookAt)
}

// noteQueue takes note of what waits to be accepted.
func (k *keeper) noteQueue(s *slot, now time.Time, q queue) {
	if !q.known {
		s.lookAt = now.Add(time.Hour)
		return
	}
	s.peeks = min(s.peeks+1, mostPeeks)
	switch {
	case q.n > 0 && s.queueing.IsZero():
		s.queueing, s.peeks = now, 0
	case q.n == 0 && !s.queueing.IsZero():
		s.queueing = time.Time{}
		k.step(s, now, readied)
		k.come(nil)
		k.tellReady(s, now)
	}
	s.lookAt = now.Add(doubled(peekEvery, s.peeks, time.Hour))
}

// tellReady tells that a child is ready.
func (k *keeper) tellReady(s *slot, now time.Time) {
	k.log.Log(k.ctx, k.startLevel(s), "the command is ready", "instance", s.socket.addr, "pid", s.child.pid(), "after", now.Sub(s.machine.begun).Round(time.Millisecond))
}

// startLevel is the level of what is logged about the start of a child. Where children
// follow one another all the time, it is of no interest.
func (k *keeper) startLevel(s *slot) slog.Level {
	if k.storm.on || s.afterClean {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// come tells who waits for the first child what has come of it: nil if it is ready.
func (k *keeper) come(err error) {
	select {
	case k.first <- err:
	default: // it was not the first
	}
}
