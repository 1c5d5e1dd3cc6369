package handover

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Socket is a listening socket that is handed over. Receivers own its file.
type Socket struct {
	Key   string // the setting that has its address; "": systemd has handed it over
	Name  string // of a socket of systemd
	Addr  string // as in the configuration
	Mode  uint32 // of a unix socket, as it was set
	Owner string
	Group string
	File  *os.File `json:"-"`
}

// Held is how many connections the former process may still have to each address of an application.
// They only become fewer.
type Held map[string]int

// message is one packet.
type message struct {
	Kind   kind    `json:"kind"`
	Socket *Socket `json:"socket,omitempty"`
	Held   Held    `json:"held,omitempty"`
	Text   string  `json:"text,omitempty"`
}

type kind string

const (
	socketKind  kind = "socket"
	startKind   kind = "start" // there are no more sockets
	readyKind   kind = "ready"
	failedKind  kind = "failed" // with Text
	goKind      kind = "go"
	servingKind kind = "serving"
	mainKind    kind = "main" // systemd knows the next process as the service's
	heldKind    kind = "held"
	doneKind    kind = "done" // nothing is held any more
)

// maxMessage bounds a packet: some thousand addresses.
const maxMessage = 256 << 10

// writeTimeout is how long the other process may leave packets unread.
const writeTimeout = 5 * time.Second

// link is one end.
type link struct{ conn *net.UnixConn }

// newLink takes the file.
func newLink(file *os.File) (*link, error) {
	defer file.Close()
	c, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s is no unix socket", file.Name()), c.Close())
	}
	return &link{conn}, nil
}

// send sends a packet, with a descriptor if file is not nil.
func (l *link) send(m message, file *os.File) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	var rights []byte
	if file != nil {
		raw, err := file.SyscallConn() // Fd would make the socket block, in all processes that have it
		if err != nil {
			return err
		}
		if err := raw.Control(func(fd uintptr) { rights = unix.UnixRights(int(fd)) }); err != nil {
			return err
		}
	}
	if err := l.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, _, err = l.conn.WriteMsgUnix(text, rights, nil)
	return err
}

// receive returns the next packet; io.EOF when the other process has ended.
func (l *link) receive() (m message, err error) {
	text, rights := make([]byte, maxMessage), make([]byte, unix.CmsgSpace(4))
	n, of, flags, _, err := l.conn.ReadMsgUnix(text, rights)
	switch {
	case err != nil:
		return m, err
	case n == 0 && of == 0:
		return m, io.EOF
	case flags&unix.MSG_TRUNC != 0:
		return m, fmt.Errorf("a message of more than %d bytes", maxMessage)
	}
	fds, err := descriptors(rights[:of])
	if err == nil {
		err = json.Unmarshal(text[:n], &m)
	}
	if err == nil && (m.Socket != nil) != (len(fds) == 1) {
		err = errors.New("a socket without a descriptor")
	}
	if err != nil {
		for _, fd := range fds {
			_ = unix.Close(fd) // nobody else knows of it
		}
		return m, err
	}
	if m.Socket != nil {
		m.Socket.File = os.NewFile(uintptr(fds[0]), m.Socket.Addr)
	}
	return m, nil
}

func descriptors(rights []byte) (fds []int, err error) {
	if len(rights) == 0 {
		return nil, nil
	}
	all, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	for i := range all {
		more, err := unix.ParseUnixRights(&all[i])
		if err != nil {
			return fds, err
		}
		fds = append(fds, more...)
	}
	return fds, nil
}
