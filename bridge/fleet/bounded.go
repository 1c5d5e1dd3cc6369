package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// errTooLarge is what reading an answer of an engine ends with that is larger than it may be, or says that it
// will be.
var errTooLarge = errors.New("the fleet's engine has announced an answer that is too large")

// bound has the connections of opts read no more than most bytes between two requests. The client makes room
// for as much as an answer announces, which may be anything.
func bound(opts *redis.Options, most int) {
	dial := redis.NewDialer(opts)
	opts.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		b := &boundedConn{Conn: c, reply: reply{most: most}}
		if raw, ok := c.(syscall.Conn); ok { // the client looks there whether it was closed
			return struct {
				*boundedConn
				syscall.Conn
			}{b, raw}, nil
		}
		return b, nil
	}
}

// boundedConn is a connection on which requests and answers take turns. It is of no use any more after
// an answer that was too large, of which the rest may come.
type boundedConn struct {
	net.Conn
	reply  reply
	failed error
}

func (c *boundedConn) Write(p []byte) (int, error) {
	if c.failed != nil {
		return 0, c.failed
	}
	c.reply = reply{most: c.reply.most}
	return c.Conn.Write(p)
}

func (c *boundedConn) Read(p []byte) (int, error) {
	if c.failed != nil {
		return 0, c.failed
	}
	n, err := c.Conn.Read(p)
	if c.failed = c.reply.read(p[:n]); c.failed != nil {
		return 0, c.failed
	}
	return n, err
}

// reply follows the answer to a request, in the protocol RESP 2 or 3.
type reply struct {
	most  int // bytes
	bytes int // that were read or announced
	items int // of lists and maps that were announced
	line  []byte
	skip  int // bytes of a text and its end that are still to come
}

const (
	longestHead = 32        // line that begins a text or a list
	longestText = 512 << 20 // that a Redis has; it has no list of so many items for us either
)

// read notes the next bytes.
func (r *reply) read(p []byte) error {
	for len(p) > 0 {
		if r.skip > 0 {
			n := min(r.skip, len(p))
			r.skip, p = r.skip-n, p[n:]
			continue
		}
		end := bytes.IndexByte(p, '\n') + 1
		n := end
		if end == 0 {
			n = len(p)
		}
		if r.bytes += n; r.bytes > r.most {
			return fmt.Errorf("%w: more than %d bytes", errTooLarge, r.most)
		}
		if room := longestHead - len(r.line); room > 0 {
			r.line = append(r.line, p[:min(room, n)]...)
		}
		p = p[n:]
		if end == 0 {
			continue
		}
		if err := r.head(bytes.TrimRight(r.line, "\r\n")); err != nil {
			return err
		}
		r.line = r.line[:0]
	}
	return nil
}

// head notes a whole line. The shortest item has three bytes, the shortest pair of them six.
func (r *reply) head(line []byte) error {
	if len(line) < 2 || bytes.IndexByte([]byte("$!=*~>%|"), line[0]) < 0 {
		return nil
	}
	n, err := strconv.ParseInt(string(line[1:]), 10, 64)
	if err == nil && n < 0 {
		return nil // null
	}
	if err != nil || n > longestText {
		return fmt.Errorf("%w: it has announced %q", errAnswer, line)
	}
	switch line[0] {
	case '$', '!', '=':
		r.skip = int(n) + 2
		r.bytes += r.skip
	case '%', '|':
		r.items += 2 * int(n)
	default:
		r.items += int(n)
	}
	if r.bytes > r.most || r.items > r.most/3 {
		return fmt.Errorf("%w: %q, want at most %d in all", errTooLarge, line, r.most)
	}
	return nil
}
