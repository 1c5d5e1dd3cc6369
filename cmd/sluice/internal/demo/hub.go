package demo

import (
	"encoding/json"
	"net"
	"path/filepath"
	"sync"
)

// hub is the parent's end of the connections to the processes that play one part, and report R.
type hub[R any] struct {
	listener net.Listener
	path     string
	hear     func(R) // is told each report, by the goroutine of its process; nil: nobody
	ended    sync.WaitGroup

	mu    sync.Mutex
	leaks bool
	conns map[net.Conn]*R // what each has told last; nil: nothing yet
}

func openHub[R any](dir, name string, hear func(R)) (*hub[R], error) {
	h := &hub[R]{path: filepath.Join(dir, name), hear: hear, conns: make(map[net.Conn]*R)}
	l, err := net.Listen("unix", h.path)
	if err != nil {
		return nil, err
	}
	h.listener = l
	h.ended.Go(h.accept)
	return h, nil
}

func (h *hub[R]) accept() {
	for {
		c, err := h.listener.Accept()
		if err != nil {
			return
		}
		h.mu.Lock()
		h.conns[c] = nil
		leaks := h.leaks
		h.mu.Unlock()
		if leaks {
			send(c, "leak on")
		}
		h.ended.Go(func() { h.read(c) })
	}
}

// read takes a process's reports until it ends.
func (h *hub[R]) read(c net.Conn) {
	defer c.Close()
	dec := json.NewDecoder(c)
	for {
		var r R
		err := dec.Decode(&r)
		h.mu.Lock()
		if err != nil {
			delete(h.conns, c)
			h.mu.Unlock()
			return
		}
		h.conns[c] = &r
		h.mu.Unlock()
		if h.hear != nil {
			h.hear(r)
		}
	}
}

// tell sends a command to all processes.
func (h *hub[R]) tell(command string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch command {
	case "leak on", "leak off":
		h.leaks = command == "leak on"
	}
	for c := range h.conns {
		send(c, command)
	}
}

// send sends a command. One that has ended meanwhile need not get it.
func send(c net.Conn, command string) { _, _ = c.Write([]byte(command + "\n")) }

// reports are what the processes have told last.
func (h *hub[R]) reports() (list []R) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.conns {
		if r != nil {
			list = append(list, *r)
		}
	}
	return list
}

// close ends the processes, if they have not ended yet.
func (h *hub[R]) close() {
	_ = h.listener.Close()
	h.mu.Lock()
	for c := range h.conns {
		_ = c.Close()
	}
	h.mu.Unlock()
	h.ended.Wait()
}
