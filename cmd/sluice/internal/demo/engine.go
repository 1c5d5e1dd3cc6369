package demo

import (
	"crypto/rand"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

// engine is the fleet's engine: a Redis in memory, and a line to it for each gate.
type engine struct {
	lines []*line
	ended sync.WaitGroup

	mu    sync.Mutex
	redis *miniredis.Miniredis // nil: it does not run
}

// line is a gate's way to the engine.
type line struct {
	listener net.Listener
	isCut    bool     // guarded by engine.mu, ...
	conn     net.Conn // as is this, the last one: a gate has one at a time
}

// openEngine starts an engine, which listens at sockets with these paths.
func openEngine(paths ...string) (*engine, error) {
	e := &engine{}
	for _, path := range paths {
		socket, err := net.Listen("unix", path)
		if err != nil {
			e.close()
			return nil, err
		}
		l := &line{listener: socket}
		e.lines = append(e.lines, l)
		e.ended.Go(func() { e.accept(l) })
	}
	if err := e.start(); err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

func (e *engine) accept(l *line) {
	for {
		c, err := l.listener.Accept()
		if err != nil {
			return
		}
		e.mu.Lock()
		if e.redis == nil || l.isCut {
			_ = c.Close()
		} else {
			l.hangUp()
			l.conn = c
			e.redis.Server().ServeConn(c) // which closes it
		}
		e.mu.Unlock()
	}
}

func (l *line) hangUp() {
	if l.conn != nil {
		_ = l.conn.Close()
	}
}

// start starts the engine, empty, unless it runs.
func (e *engine) start() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.redis != nil {
		return nil
	}
	r := miniredis.NewMiniRedis()
	c, err := r.Dial() // so it runs without a port
	if err != nil {
		return err
	}
	_ = c.Close()
	// By run_id, which miniredis lacks, the fleet knows an engine that has been started anew.
	run := rand.Text()
	r.Server().SetPreHook(func(p *server.Peer, cmd string, _ ...string) bool {
		if !strings.EqualFold(cmd, "info") {
			return false
		}
		p.WriteBulk(fmt.Sprintf("# Server\r\nrun_id:%s\r\n", run))
		return true
	})
	e.redis = r
	return nil
}

// stop ends the engine, which forgets everything.
func (e *engine) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.redis != nil {
		e.redis.Close()
		e.redis = nil
	}
}

// cut cuts a line, or mends it.
func (e *engine) cut(line int, cut bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := e.lines[line]
	if l.isCut = cut; cut {
		l.hangUp()
	}
}

func (e *engine) close() {
	for _, l := range e.lines {
		_ = l.listener.Close()
	}
	e.ended.Wait()
	e.stop()
}
