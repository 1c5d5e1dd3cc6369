package supervise

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/proc"
)

// peekInterval is how often the accept queue of a new child is looked at, which takes about
// 0.1 ms.
const peekInterval = 250 * time.Millisecond

// maxPeekDoublings is how often that time is doubled while no connection waits.
const maxPeekDoublings = 4

// awaitReady has a task wait until a child that gets no requests yet is ready for them.
func (sup *supervisor) awaitReady(in *instance) {
	sup.stopAwaitingReady(in)
	ctx, cancel := context.WithCancel(sup.ctx)
	plan := sup.plan
	ready, refusal := make(chan struct{}), new(atomic.Pointer[string])
	in.readyDone, in.cancelReady, in.notReadyReason = ready, cancel, refusal
	sup.tasks.Go(func() {
		defer cancel()
		if sup.pollReady(ctx, in.socket, plan, refusal) == nil {
			close(ready)
			sup.wake()
		}
	})
}

// ExpectReady has it found out whether new processes accept connections. Otherwise that is known of the
// first ones only when there are requests. It does not wait: the instances' State becomes ready.
func (g *Group) ExpectReady() {
	sup := g.supervisor
	sup.call(func() {
		for _, in := range sup.instances {
			if in.machine.state == stateStarting && in.readyDone == nil {
				sup.awaitReady(in)
			}
		}
	})
}

// stopAwaitingReady ends that task.
func (sup *supervisor) stopAwaitingReady(in *instance) {
	if in.cancelReady != nil {
		in.cancelReady()
		in.readyDone, in.cancelReady = nil, nil
	}
}

// pollReady returns nil when a child is ready. Until then refusal is why it is not. Neither a Ready
// function nor a socket that the child makes gives an event: they are tried again and again.
func (sup *supervisor) pollReady(ctx context.Context, s *proc.Socket, p *plan, refusal *atomic.Pointer[string]) error {
	if p.queues() {
		return sup.program.accepts(ctx, s)
	}
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := sup.askReady(ctx, s, p)
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

// checkStart looks whether a child that has answered nothing yet is ready, or late.
func (sup *supervisor) checkStart(in *instance, now time.Time) {
	deadline := in.machine.startedAt.Add(sup.plan.StartTimeout)
	switch {
	case in.ends():
		return // its group may take a while to end
	case !in.launched:
	case in.readyDone != nil && isClosed(in.readyDone):
		if outlasted := in.machine.startedAt.Add(probation); now.Before(outlasted) {
			sup.wakeAt(outlasted) // a child may exit right after its start
			return
		}
		sup.stopAwaitingReady(in)
		sup.step(in, now, becameReady)
		sup.reportFirst(nil)
		sup.logReady(in, now)
		sup.addToRotation(in)
		if old := in.replaces; old != nil {
			in.replaces, old.successor = nil, in
			sup.retire(old, now)
			if in.generation < sup.replacement.generation {
				sup.markForReplacement(in, restarted) // it was asked for after the child's start
			}
		}
		return
	case in.readyDone != nil:
	case in.machine.state == stateReady:
		return
	default:
		if sup.peek(in, now); in.machine.state == stateReady || in.queuedSince.IsZero() {
			return
		}
		deadline = in.queuedSince.Add(sup.plan.StartTimeout)
	}
	sup.wakeAt(deadline)
	if !now.Before(deadline) {
		attrs := []any{"instance", in.socket.Addr, "pid", in.child.PID(), "start_timeout", sup.plan.StartTimeout}
		if !in.launched {
			attrs = append(attrs, "error", errNotLaunched.Error())
		} else if in.notReadyReason != nil && in.notReadyReason.Load() != nil {
			attrs = append(attrs, "error", *in.notReadyReason.Load())
		}
		sup.log.Error("a process is not ready in time; it is ended", append(attrs, "advice", "raise spawn.start_timeout (--command-start-timeout) if it may take longer to start")...)
		if !in.launched {
			sup.kill(in, notReady, process.Kill)
			return
		}
		sup.kill(in, notReady, sup.dumpAndStop)
	}
}

// queue is the length of an accept queue.
type queue struct {
	n     int
	known bool
}

// peek looks whether a child that gets requests has begun to accept connections.
func (sup *supervisor) peek(in *instance, now time.Time) {
	q, answered := in.peek.take()
	switch {
	case answered:
		sup.noteQueue(in, now, q)
	case in.peek.isPending():
		return
	case now.Before(in.nextPeek):
		sup.wakeAt(in.nextPeek)
		return
	default:
		in.peek = startQuery(sup, func() (q queue) { q.n, q.known = sup.program.queued(in.socket); return q })
		return
	}
	sup.wakeAt(in.nextPeek)
}

// noteQueue takes note of the length of the accept queue. A child is ready when connections
// had waited, and none does now.
func (sup *supervisor) noteQueue(in *instance, now time.Time, q queue) {
	if !q.known {
		in.nextPeek = now.Add(time.Hour)
		return
	}
	in.peeks = min(in.peeks+1, maxPeekDoublings)
	switch {
	case q.n > 0 && in.queuedSince.IsZero():
		in.queuedSince, in.peeks = now, 0
	case q.n == 0 && !in.queuedSince.IsZero():
		in.queuedSince = time.Time{}
		sup.step(in, now, becameReady)
		sup.reportFirst(nil)
		sup.logReady(in, now)
	}
	in.nextPeek = now.Add(doubled(peekInterval, in.peeks, time.Hour))
}

// logReady logs that a child is ready.
func (sup *supervisor) logReady(in *instance, now time.Time) {
	sup.log.Log(sup.ctx, sup.startLevel(in), "the command is ready", "instance", in.socket.Addr, "pid", in.child.PID(), "after", now.Sub(in.machine.startedAt).Round(time.Millisecond))
}

// startLevel is the level of logs about the start of a child: debug where children are started
// again and again.
func (sup *supervisor) startLevel(in *instance) slog.Level {
	if sup.crashLoop.active || in.afterCleanExit {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// reportFirst gives Start the result of the first child: nil if it is ready.
func (sup *supervisor) reportFirst(err error) {
	select {
	case sup.firstResult <- err:
	default: // not the first child
	}
}
