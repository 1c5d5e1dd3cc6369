//go:build linux

package loop

import (
	"encoding/binary"
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-proxy/sluice/bridge/internal/socket"
)

// poller waits for what happens to descriptors. It is its loop's goroutine's, but for ring.
//
// The runtime waits for the epoll as for a socket, so that a loop without work has no thread. What would
// cost more than the work of a busy one is avoided: a deadline of the runtime, which wakes a thread each time
// that it is changed, and that the runtime is told of each event while the loop is at work. So there is a
// timerfd in the epoll, and between it and the runtime there is a second one, which can be told to be silent.
type poller struct {
	epoll   int
	bell    int       // eventfd, which ring writes to
	alarm   int       // timerfd
	alarmAt time.Time // when it is due; zero: never
	events  []unix.EpollEvent
	ready   int // how many events there are

	outer   *os.File // an epoll with the epoll in it, which the runtime waits for
	outerFD int      // its descriptor
	raw     syscall.RawConn
	silent  bool               // outer does not tell the runtime
	turns   int                // since the last wait
	waits   func(uintptr) bool // wait, made once
	waiting bool               // await had to wait
}

// busyTurns is after how many turns without a wait the runtime is not told any more.
const busyTurns = 4

func newPoller() (p *poller, err error) {
	p = &poller{epoll: -1, bell: -1, alarm: -1, events: make([]unix.EpollEvent, 256)}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	if p.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return p, os.NewSyscallError("epoll_create1", err)
	}
	if p.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return p, os.NewSyscallError("eventfd", err)
	}
	if p.alarm, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return p, os.NewSyscallError("timerfd_create", err)
	}
	outer, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return p, os.NewSyscallError("epoll_create1", err)
	}
	err = unix.SetNonblock(outer, true) // or the runtime would not wait for it
	p.outer, p.outerFD = os.NewFile(uintptr(outer), "epoll"), outer
	if err != nil {
		return p, os.NewSyscallError("fcntl", err)
	}
	if p.raw, err = p.outer.SyscallConn(); err != nil {
		return p, err
	}
	p.waits = p.wait
	return p, errors.Join(p.control(unix.EPOLL_CTL_ADD, p.bell, unix.EPOLLIN, 0), p.control(unix.EPOLL_CTL_ADD, p.alarm, unix.EPOLLIN, 0),
		p.tell(unix.EPOLL_CTL_ADD, unix.EPOLLIN))
}

// close closes the descriptors. ring is not called any more.
func (p *poller) close() error {
	var err error
	for _, fd := range []int{p.epoll, p.bell, p.alarm} {
		if fd >= 0 {
			err = errors.Join(err, unix.Close(fd))
		}
	}
	if p.outer != nil {
		err = errors.Join(err, p.outer.Close())
	}
	return err
}

// control changes what there are events of. They come once for each change, and bring the serial number.
func (p *poller) control(op, fd int, events, serial uint32) error {
	err := unix.EpollCtl(p.epoll, op, fd, &unix.EpollEvent{Events: events | unix.EPOLLET, Fd: int32(fd), Pad: int32(serial)})
	return os.NewSyscallError("epoll_ctl", err)
}

// tell has the runtime be told of events, or, with 0, not.
func (p *poller) tell(op int, events uint32) error {
	p.silent = events == 0
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.outerFD, op, p.epoll, &unix.EpollEvent{Events: events | unix.EPOLLET}))
}

// isOwn reports whether an event says only that the wait has ended.
func (p *poller) isOwn(fd int) bool { return fd == p.bell || fd == p.alarm }

// setAlarm has waits end at a time; zero: never. They may end earlier. now may be a moment ago.
func (p *poller) setAlarm(at, now time.Time) {
	if at.IsZero() || p.alarmAt.After(now) && !at.Before(p.alarmAt) {
		return
	}
	p.alarmAt = at
	left := max(time.Until(at), 1)                                                                      // 0 would be never
	_ = unix.TimerfdSettime(p.alarm, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(left))}, nil) // its arguments are in order
}

// ring ends the wait. It may be called in any goroutine.
func (p *poller) ring() { _, _ = socket.Write(p.bell, one) } // it is never read, and never full

var one = binary.NativeEndian.AppendUint64(nil, 1)

// await waits until there are events, and sets events to them.
func (p *poller) await() {
	p.waiting = false
	_ = p.raw.Read(p.waits) // outer is open
	if p.waiting {
		p.turns = 0
	} else {
		p.turned()
	}
}

// look is await without a wait.
func (p *poller) look() {
	p.poll()
	p.turned()
}

// turned notes a turn without a wait.
func (p *poller) turned() {
	if p.turns++; p.turns >= busyTurns && !p.silent {
		_ = p.tell(unix.EPOLL_CTL_MOD, 0) // if it fails, that costs nothing but time
	}
}

// wait reports whether there is no need to wait any longer. What happens from its call on ends the wait.
func (p *poller) wait(uintptr) bool {
	if p.poll(); p.ready > 0 {
		return true
	}
	if p.silent {
		_ = p.tell(unix.EPOLL_CTL_MOD, unix.EPOLLIN) // it is there
		// The kernel does not tell of what has happened before that if outer has the epoll in its list from earlier.
		if p.poll(); p.ready > 0 {
			return true
		}
	}
	p.waiting = true
	return false
}

// poll sets events to what there is by now.
func (p *poller) poll() {
	n, err := socket.Events(p.epoll, p.events)
	if err != nil {
		n = 0 // EINTR
	}
	p.ready = n
}
