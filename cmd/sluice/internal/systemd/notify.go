package systemd

import (
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Notifier tells systemd the state of the service. A nil Notifier tells nobody.
type Notifier struct {
	addr   *net.UnixAddr
	failed func(error)
}

// NewNotifier returns a Notifier to NOTIFY_SOCKET, nil if there is none, and removes the variable. It
// calls failed when a notice cannot be sent.
func NewNotifier(failed func(error)) *Notifier {
	name := os.Getenv("NOTIFY_SOCKET")
	if err := os.Unsetenv("NOTIFY_SOCKET"); err != nil || name == "" {
		return nil // the name of the variable is a valid one
	}
	return &Notifier{&net.UnixAddr{Name: name, Net: "unixgram"}, failed}
}

// Ready tells that the service serves, with a sentence for "systemctl status". It also ends a reload.
func (n *Notifier) Ready(status string) { n.send("READY=1", "STATUS="+oneLine(status)) }

// Reloading tells that the configuration is being loaded again, until Ready.
func (n *Notifier) Reloading() {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		n.fail(err)
		return
	}
	// Which reload this is the beginning of: Type=notify-reload wants to know.
	n.send("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/int64(time.Microsecond)))
}

// Main tells that another process is the service's main one from now on. From then on, systemd hears
// that process alone.
func (n *Notifier) Main(pid int) { n.send(fmt.Sprintf("MAINPID=%d", pid)) }

// Stopping tells that the service ends, and how long that may take.
func (n *Notifier) Stopping(within time.Duration) {
	n.send("STOPPING=1", "STATUS=Draining", fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", within.Microseconds()))
}

func (n *Notifier) send(lines ...string) {
	if n == nil {
		return
	}
	c, err := net.DialUnix(n.addr.Net, nil, n.addr)
	if err != nil {
		n.fail(err)
		return
	}
	defer c.Close()
	// Nothing waits for systemd.
	err = c.SetWriteDeadline(time.Now().Add(time.Second))
	if err == nil {
		_, err = c.Write([]byte(strings.Join(lines, "\n")))
	}
	if err != nil {
		n.fail(err)
	}
}

func (n *Notifier) fail(err error) {
	if n != nil {
		n.failed(err)
	}
}

// oneLine keeps text from being taken for several variables.
func oneLine(text string) string { return strings.ReplaceAll(text, "\n", " ") }
