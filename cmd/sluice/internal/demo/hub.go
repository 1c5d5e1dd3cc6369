package demo

import (
	"encoding/json"
	"net"
	"path/filepath"
	"sync"
)

// hub is the parent's end of the connections to the processes of one application.
type hub struct {
	listener net.Listener
	path     string
	ended    sync.WaitGroup

	mu    sync.Mutex
	leaks bool
	conns map[net.Conn]appReport
}

func openHub(dir, name string) (*hub, error) {
	h := &hub{path: filepath.Join(dir, name), conns: make(map[net.Conn]appReport)}
	l, err := net.Listen("unix", h.path)
	if err != nil {
		return nil, err
	}
	h.listener = l
	h.ended.Go(h.accept)
	return h, nil
}

func (h *hub) accept() {
	for {
		c, err := h.listener.Accept()
		if err != nil {
			return
		}
		h.mu.Lock()
		h.conns[c] = appReport{}
		leaks := h.leaks
		h.mu.Unlock()
		if leaks {
			send(c, "leak on")
		}
		h.ended.Go(func() { h.read(c) })
	}
}

// read takes a process's reports until it ends.
func (h *hub) read(c net.Conn) {
	defer c.Close()
	dec := json.NewDecoder(c)
	for {
		var r appReport
		err := dec.Decode(&r)
		h.mu.Lock()
		if err != nil {
			delete(h.conns, c)
			h.mu.Unlock()
			return
		}
		h.conns[c] = r
		h.mu.Unlock()
	}
}

// tell sends a command to all processes.
func (h *hub) tell(command string) {
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
func (h *hub) reports() (list []appReport) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.conns {
		if r.PID != 0 {
			list = append(list, r)
		}
	}
	return list
}

// close ends the processes, if they have not ended yet.
func (h *hub) close() {
	_ = h.listener.Close()
	h.mu.Lock()
	for c := range h.conns {
		_ = c.Close()
	}
	h.mu.Unlock()
	h.ended.Wait()
}
