package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// measure runs all rounds. Every peer has a turn in each round, so that drift of the machine affects all of
// them. A peer that fails is left with its error; only the failure of the application ends the run.
func (b *bench) measure(ctx context.Context) error {
	turns := (b.opts.rounds + 1) * len(b.opts.scenarios) * len(b.running())
	if turns == 0 {
		return errors.New("no peer could be started")
	}
	planned := time.Duration(turns) * b.opts.duration
	progress("%d turns of %v: %v", turns, b.opts.duration, planned)
	limit := 2*planned + slack
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("gave up after %v: the machine is too busy", limit))
	defer cancel()

	for round := range b.opts.rounds + 1 {
		for _, s := range b.opts.scenarios {
			if err := b.round(ctx, round, s); err != nil {
				return err
			}
		}
	}
	for _, e := range b.running() {
		var err error
		if e.peak, err = peakMemory(e.proc.cmd.Process.Pid); err != nil {
			e.fail(err)
		}
	}
	return nil
}

// round gives each running peer one turn. Round 0 is the warm-up.
func (b *bench) round(ctx context.Context, round int, s scenario) error {
	for _, e := range b.running() {
		if e.missed[s.label] != nil {
			continue
		}
		got, err := b.turn(ctx, e, s)
		if ctx.Err() != nil {
			return interruption(ctx)
		}
		if ended := b.backend.ended(); ended != nil {
			return fmt.Errorf("%w (during %s on %s)", ended, s.label, e.peer.label)
		}
		if err != nil {
			e.miss(s, fmt.Errorf("round %d: %w", round, err))
			continue
		}
		progress("round %d/%d  %-6s %-10s %8.0f req/s %7.1f us/req", round, b.opts.rounds, s.label, e.peer.label, got.perSecond(), got.cpuMicros())
		if round > 0 {
			e.samples[s.label] = append(e.samples[s.label], got)
		}
	}
	return nil
}

// turn puts one scenario's load on one peer.
func (b *bench) turn(ctx context.Context, e *entry, s scenario) (sample, error) {
	if err := e.proc.ended(); err != nil {
		return sample{}, err
	}
	proxy, app := e.proc.cmd.Process.Pid, e.app.cmd.Process.Pid
	proxyBefore, err := cpuTime(proxy)
	if err != nil {
		return sample{}, err
	}
	appBefore, err := cpuTime(app)
	if err != nil {
		return sample{}, err
	}
	got, err := runWrk(ctx, b.scripts[s.label], e.url+s.path, s.connectionsOr(b.opts.connections), b.opts.duration)
	if err != nil {
		return sample{}, err
	}
	if err := e.proc.ended(); err != nil {
		return sample{}, err
	}
	proxyAfter, err := cpuTime(proxy)
	if err != nil {
		return sample{}, err
	}
	appAfter, err := cpuTime(app)
	if err != nil {
		return sample{}, err
	}
	return sample{load: got, proxyCPU: proxyAfter - proxyBefore, backendCPU: appAfter - appBefore}, got.check(s)
}

func (b *bench) running() []*entry {
	var up []*entry
	for _, e := range b.entries {
		if e.failed == nil {
			up = append(up, e)
		}
	}
	return up
}

// interruption tells the end of the time from a signal.
func interruption(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return context.Cause(ctx)
	}
	return errInterrupted
}
