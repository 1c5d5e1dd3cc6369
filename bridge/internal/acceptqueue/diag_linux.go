package acceptqueue

import (
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// onlyListening is the set of socket states that the kernel is to return.
const onlyListening = 1 << unix.BPF_TCP_LISTEN

func of(network, addr string) (Queue, error) {
	switch network {
	case "unix":
		return ofUnix(addr)
	case "tcp":
		return ofTCP(addr)
	}
	return Queue{}, fmt.Errorf("%w (network %q)", ErrUnsupported, network)
}

// dump sends one request of sock_diag(7) and returns the contents of the answers.
func dump(request []byte) ([][]byte, error) {
	c, err := netlink.Dial(unix.NETLINK_SOCK_DIAG, nil)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	messages, err := c.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.SOCK_DIAG_BY_FAMILY, Flags: netlink.Request | netlink.Dump},
		Data:   request,
	})
	// The kernel module for the family may be missing.
	if errors.Is(err, unix.ENOENT) {
		return nil, ErrUnsupported
	}
	if err != nil {
		return nil, err
	}
	contents := make([][]byte, 0, len(messages))
	for _, m := range messages {
		contents = append(contents, m.Data)
	}
	return contents, nil
}

// errShort reports an answer that ends inside its fixed part.
var errShort = errors.New("the kernel's answer is too short")
