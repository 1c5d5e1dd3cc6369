package handover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Predecessor is the former process, as the next sees it.
type Predecessor struct {
	*link
	Sockets []Socket
	over    bool // it has been told the outcome of the start

	first chan struct{} // closed when it has let this process begin, with held, or has ended
	held  Held
	ended bool
}

// Inherit returns the process that has started this one to take its place, nil if there is none. It is
// called once, before processes are started, and removes the variable.
func Inherit() (*Predecessor, error) {
	text := os.Getenv(variable)
	if err := os.Unsetenv(variable); err != nil || text == "" {
		return nil, err
	}
	fd, err := strconv.Atoi(text)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("%s is %q: it is for sluice upgrade; unset it", variable, text)
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("%s is %q, and descriptor %d is not open: it is for sluice upgrade; unset it", variable, text, fd)
	}
	l, err := newLink(os.NewFile(uintptr(fd), "the former process"))
	if err != nil {
		return nil, fmt.Errorf("%s is %q: %w", variable, text, err)
	}
	p := &Predecessor{link: l, first: make(chan struct{})}
	for {
		m, err := l.receive()
		if err == nil && m.Kind == socketKind && m.Socket != nil {
			p.Sockets = append(p.Sockets, *m.Socket)
			continue
		}
		if err == nil && m.Kind == startKind {
			return p, nil
		}
		for _, s := range p.Sockets {
			_ = s.File.Close() // nothing was accepted
		}
		return nil, errors.Join(fmt.Errorf("the former process hands nothing over: %w", cmpError(err)), l.conn.Close())
	}
}

func cmpError(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return errors.New("it has ended, or is of another version")
	}
	return err
}

// Fail tells why this process cannot take over, and ends the Predecessor. Nil has nobody to tell, as
// one that was told otherwise before.
func (p *Predecessor) Fail(err error) {
	if p == nil || p.over {
		return
	}
	p.over = true
	if err != nil {
		_ = p.send(message{Kind: failedKind, Text: strings.TrimSpace(err.Error())}, nil) // it may be gone
	}
	_ = p.conn.Close()
}

// ErrEnded says that the former process has ended before it let this one begin, or that it does not want
// to be replaced any more.
var ErrEnded = errors.New("the former process has ended, or goes on itself")

// Watch calls ended if the former process ends before it lets this one begin. Nil watches nobody.
func (p *Predecessor) Watch(ended func()) {
	if p == nil {
		return
	}
	go func() {
		defer close(p.first)
		m, err := p.receive()
		if err != nil || m.Kind != goKind {
			p.ended = true
			ended()
		}
		p.held = m.Held
	}()
}

// Ready tells that this process could serve, and waits until it is to. The former process then still may
// have held. Watch was called before. The error is ErrEnded, or the cause of ctx's end.
func (p *Predecessor) Ready(ctx context.Context) (held Held, err error) {
	if p.send(message{Kind: readyKind}, nil) != nil {
		return nil, ErrEnded
	}
	select {
	case <-p.first:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if p.ended {
		return nil, ErrEnded
	}
	return p.held, nil
}

// Serving tells that this process serves.
func (p *Predecessor) Serving() error {
	p.over = true
	return p.send(message{Kind: servingKind}, nil)
}

// Next returns what the former process may still have, and whether it has made this process the
// service's. The error is io.EOF when it has told that it has nothing, and another if it has not.
func (p *Predecessor) Next() (held Held, main bool, err error) {
	m, err := p.receive()
	switch {
	case errors.Is(err, io.EOF):
		return nil, false, io.ErrUnexpectedEOF
	case err != nil:
		return nil, false, err
	case m.Kind == doneKind:
		return nil, false, io.EOF
	}
	return m.Held, m.Kind == mainKind, nil
}

// Close lets the former process alone.
func (p *Predecessor) Close() { _ = p.conn.Close() }
