package watch

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// interval is the time between two looks.
const interval = time.Second

// answer is a result of Fetch.
type answer struct {
	state *State
	at    time.Time
	err   error
}

// Live shows the state until q, Ctrl-C or the end of ctx. It returns the last state, or why there
// is none.
func Live(ctx context.Context, source *Source, in, out *os.File, colour bool) (*State, error) {
	t, err := openTerminal(in, out)
	if err != nil {
		return nil, err
	}
	defer t.restore()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGWINCH, syscall.SIGCONT)
	defer signal.Stop(signals)
	keys := make(chan string)
	go readKeys(in, keys)
	answers := make(chan answer)
	go look(ctx, source, answers)

	p := &page{addr: source.addr, now: time.Now(), colour: colour, keys: true}
	for {
		if err := t.draw(p.lines(t.size())); err != nil {
			return p.all, err
		}
		select {
		case <-ctx.Done():
			return p.all, p.err
		case a := <-answers:
			p.take(a)
		case <-signals: // another size, or the terminal is back
		case key, open := <-keys:
			if !open || p.press(key) {
				return p.all, p.err
			}
			if key == "\x1a" {
				if err := t.suspend(); err != nil {
					return p.all, err
				}
			}
		}
	}
}

// look is a goroutine that asks for the state every interval, until ctx ends.
func look(ctx context.Context, source *Source, answers chan<- answer) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		state, _, err := source.Fetch(ctx)
		select {
		case answers <- answer{state, time.Now(), err}:
		case <-ctx.Done():
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// take shows a newer state.
func (p *page) take(a answer) {
	if p.paused {
		return
	}
	p.now, p.err = a.at, a.err
	if a.err != nil {
		return
	}
	before := p.state
	p.since = a.at.Sub(p.at)
	p.all, p.at = a.state, a.at
	p.choose()
	if p.before = nil; before != nil && before.Name == p.state.Name {
		p.before = before
	}
}

// choose shows one of the applications.
func (p *page) choose() {
	list := p.all.split()
	if len(list) == 0 { // all were removed
		list = []*State{p.all}
	}
	p.of = len(list)
	p.shown = min(p.shown, p.of-1)
	p.state = list[p.shown]
}

// press acts on a key. quit is true if it ends the page.
func (p *page) press(key string) (quit bool) {
	n := len(p.sortBy)
	switch key {
	case "q", "Q", "\x03", "\x04":
		return true
	case "\t":
		p.focus, p.scroll = (p.focus+1)%n, 0
	case "\x1b[Z": // Shift-Tab
		p.focus, p.scroll = (p.focus+n-1)%n, 0
	case "1", "2", "3", "4":
		p.focus, p.scroll = int(key[0]-'1'), 0
	case "s":
		columns := len(tables(new(State))[p.focus].columns)
		p.sortBy[p.focus] = (p.sortBy[p.focus] + 1) % columns
	case "r":
		p.reverse[p.focus] = !p.reverse[p.focus]
	case "n":
		if p.of > 1 {
			p.shown, p.before = (p.shown+1)%p.of, nil
			p.choose()
		}
	case "p", " ":
		p.paused = !p.paused
	case "j", "\x1b[B", "\x1bOB":
		p.scroll++
	case "k", "\x1b[A", "\x1bOA":
		p.scroll = max(p.scroll-1, 0)
	}
	if p.state != nil { // not further than the last row
		p.scroll = min(p.scroll, max(len(tables(p.state)[p.focus].rows)-1, 0))
	}
	return false
}

// Once writes the state as a page of a width for each application.
func Once(w io.Writer, source *Source, s *State, width int, colour bool) error {
	now := time.Now()
	p := &page{addr: source.addr, all: s, at: now, now: now, colour: colour}
	for ; ; p.shown++ {
		p.choose()
		for _, line := range p.lines(width, 0) {
			if _, err := io.WriteString(w, line+"\n"); err != nil {
				return err
			}
		}
		if p.shown == p.of-1 {
			return nil
		}
		if _, err := io.WriteString(w, "\n"); err != nil {
			return err
		}
	}
}

// widthOnce is the width of a page that goes to a file or a pipe.
const widthOnce = 120

// Width is the width of a page that is written to f.
func Width(f *os.File) int {
	if !IsTerminal(f) {
		return widthOnce
	}
	width, _ := sizeOf(f)
	return width
}
