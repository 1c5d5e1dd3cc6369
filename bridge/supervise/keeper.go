package supervise

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// judgement is how long a child that has died is given to turn out to have served: its
// last answer may be on its way to whoever tells us. It is less than the pause after one
// that did not serve, and costs nothing.
const judgement = 500 * time.Millisecond

// program is what is kept running: a real one, or a test's.
type program interface {
	// spawn starts a child. All children are started on the goroutine of run.
	spawn() (process, error)
}

// process is a child that was started.
type process interface {
	pid() int
	// ended is closed when the child has ended.
	ended() <-chan struct{}
	// bury ends what is left of its group when it has ended, and says how it ended.
	bury() Exit
	// end ends it, and its group.
	end()
	// lines are the last it wrote.
	lines() []string
}

// keeper keeps one child of a program alive, and no more than one.
type keeper struct {
	program program
	name    string // of the command, for the log
	log     *slog.Logger

	merit atomic.Pointer[merit] // of the child there is, or was last
	first chan Exit             // gets how the first child ended

	mu      sync.Mutex
	machine *machine
	storm   storm
	child   process // nil: none
	spawns  int     // children that were started
}

// merit is what a child is known to have answered.
type merit struct {
	begun   time.Time // not after the child
	answers atomic.Uint64
	served  chan struct{} // closed at the first
}

func newKeeper(p program, name string, b Budget, random func() float64, log *slog.Logger) *keeper {
	return &keeper{
		program: p, name: name, log: log, first: make(chan Exit, 1),
		machine: newMachine(&budget{most: b.Spawns, window: b.Per}, b.Stop, random, time.Now()),
	}
}

// answered tells that the application began to answer a request at that time.
func (k *keeper) answered(at time.Time) {
	m := k.merit.Load()
	if m == nil || at.Before(m.begun) {
		return // it was the one before it
	}
	if m.answers.Add(1) == 1 {
		close(m.served)
	}
}

// run keeps a child until ctx ends. begun gets the first start's result; if that is an
// error, run ends.
func (k *keeper) run(ctx context.Context, begun chan<- error) {
	// PR_SET_PDEATHSIG fires when the thread that started the child ends, so the
	// thread must not.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	served, err := k.spawn()
	begun <- err
	if err != nil {
		return
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(k.sleep())
		var ended <-chan struct{}
		if k.child != nil { // only this goroutine sets it
			ended = k.child.ended()
		}
		select {
		case <-ctx.Done():
			k.close()
			return
		case <-served:
			k.serve()
			served = nil
		case <-ended:
			k.bury(ctx, served)
			served = nil
		case <-timer.C:
			k.tick()
			if !k.isDue() {
				continue
			}
			if served, err = k.spawn(); err != nil {
				k.mourn(Exit{Time: time.Now(), Status: -1, Err: err.Error()})
			}
		}
	}
}

// sleep is how long nothing needs to be done, unless something happens.
func (k *keeper) sleep() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	now, d := time.Now(), time.Hour
	for _, t := range []time.Time{k.machine.next, k.storm.due()} {
		if !t.IsZero() {
			d = min(d, max(t.Sub(now), 0))
		}
	}
	return d
}

func (k *keeper) isDue() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.machine.next.IsZero() && !time.Now().Before(k.machine.next)
}

// spawn starts a child. What it returns is closed when the child has served.
func (k *keeper) spawn() (<-chan struct{}, error) {
	// Before the child runs, or its first answer could be missed. The one before is dead.
	m := &merit{begun: time.Now(), served: make(chan struct{})}
	k.merit.Store(m)
	c, err := k.program.spawn()
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	k.child = c
	k.spawns++
	k.machine.step(time.Now(), started)
	quiet := k.storm.on
	k.mu.Unlock()
	if !quiet {
		k.log.Info("the command is running", "command", k.name, "pid", c.pid())
	}
	return m.served, nil
}

// serve notes that the child has served.
func (k *keeper) serve() {
	k.mu.Lock()
	before := k.machine.state
	k.machine.step(time.Now(), served)
	k.mu.Unlock()
	if before == Probing {
		k.log.Warn("the command serves again", "command", k.name)
	}
}

// bury deals with the child's end. served is nil if it is known to have served.
func (k *keeper) bury(ctx context.Context, served <-chan struct{}) {
	at := time.Now()
	e := k.child.bury()
	select {
	case k.first <- e:
	default: // it was not the first
	}
	if served != nil {
		select {
		case <-served:
			k.serve()
		case <-time.After(judgement):
		case <-ctx.Done():
		}
	}
	k.mu.Lock()
	k.child = nil
	e.Time, e.Served = at, k.machine.state == Serving
	e.Lived = e.Time.Sub(k.machine.begun)
	k.mu.Unlock()
	k.mourn(e)
}

// mourn decides what follows a death, and tells of it.
func (k *keeper) mourn(e Exit) {
	k.mu.Lock()
	before := k.machine.state
	k.machine.step(e.Time, died)
	what := k.storm.note(e)
	quiet := what == nothing && k.storm.on
	state, pause := k.machine.state, k.machine.next.Sub(e.Time)
	k.mu.Unlock()

	if !quiet {
		k.log.Error("the command has ended", "command", k.name, "exit", e.String(), "next_in", pause.Round(time.Millisecond))
	}
	k.tell(what)
	if state == Broken && before != Broken && before != Probing {
		k.log.Error("the command is not started again for now: too many have ended; requests are refused",
			"command", k.name, "exit", e.String(), "next_in", pause)
	}
}

// tick tells what there is to tell of a storm.
func (k *keeper) tick() {
	k.mu.Lock()
	now, lived := time.Now(), time.Duration(0)
	if k.machine.state.runs() {
		lived = now.Sub(k.machine.begun)
	}
	what := k.storm.tick(now, lived)
	k.mu.Unlock()
	k.tell(what)
}

// tell logs news of a storm.
func (k *keeper) tell(what news) {
	text, level := "", slog.LevelError
	switch what {
	case nothing:
		return
	case begins:
		text = "a storm begins: the command ends again and again"
	case goesOn:
		text = "the storm goes on: the command ends again and again"
	case ends:
		text, level = "the storm is over", slog.LevelWarn
	}
	k.mu.Lock()
	now := time.Now()
	exits := make([]string, len(k.storm.exits))
	for i := range k.storm.exits {
		exits[i] = k.storm.exits[i].String()
	}
	attrs := []slog.Attr{
		slog.String("command", k.name), slog.String("state", k.machine.state.String()),
		slog.Int("ended", k.storm.deaths), slog.Int("ended_last_minute", len(k.storm.recent)),
		slog.Duration("since", now.Sub(k.storm.began).Round(time.Second)),
		slog.Int("budget_left", k.machine.budget.left(now)), slog.Any("last", exits),
	}
	k.mu.Unlock()
	k.log.LogAttrs(context.Background(), level, text, attrs...)
}

// close ends the child.
func (k *keeper) close() {
	if k.child != nil {
		k.child.end()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.child = nil
	k.machine.step(time.Now(), closed)
}

// pid is the living child's process id, 0 if there is none.
func (k *keeper) pid() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.child == nil {
		return 0
	}
	return k.child.pid()
}

// refusing reports whether the budget is spent and no child runs, and how long it will
// be so at least.
func (k *keeper) refusing() (time.Duration, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.machine.state != Broken {
		return 0, false
	}
	return time.Until(k.machine.next), true
}
