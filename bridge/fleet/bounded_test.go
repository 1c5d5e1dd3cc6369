package fleet

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

// What an answer announces is bounded, in whatever pieces it comes, and so is what it has.
func TestBoundedReplies(t *testing.T) {
	const most = 300
	for reply, fits := range map[string]bool{
		"+OK\r\n": true, "$-1\r\n": true, "*-1\r\n": true, "_\r\n": true, ":12\r\n": true, "$0\r\n\r\n": true,
		"*2\r\n$3\r\n*9\n\r\n%1\r\n+a\r\n:1\r\n":                 true,
		"$280\r\n" + strings.Repeat("*999\r\n", 46) + "aaaa\r\n": true,
		"+" + strings.Repeat("a", 290) + "\r\n":                  true,
		"+" + strings.Repeat("a", 310) + "\r\n":                  false,
		"$299\r\n":                                               false, "$1000000000\r\n": false, "$99999999999999999999\r\n": false, "$?\r\n": false,
		"*101\r\n": false, "*1000000000\r\n": false, "%51\r\n": false, "~101\r\n": false, ">101\r\n": false, "|51\r\n": false,
		"!1000\r\n": false, "=1000\r\n": false,
		"*40\r\n*40\r\n*40\r\n":                                false, // together
		"$100\r\n" + strings.Repeat("a", 100) + "\r\n$200\r\n": false,
	} {
		for _, piece := range []int{1, 7, 1000} {
			near, far := net.Pipe()
			go func() {
				for text := reply; text != ""; {
					n := min(piece, len(text))
					if _, err := io.WriteString(far, text[:n]); err != nil {
						break
					}
					text = text[n:]
				}
				far.Close()
			}()
			c := &boundedConn{Conn: near, reply: replyOf(most)}
			got, err := io.ReadAll(c)
			near.Close()
			if fits && (err != nil || string(got) != reply) || !fits && !errors.Is(err, errTooLarge) && !errors.Is(err, errAnswer) {
				t.Errorf("%.40q, %d bytes at a time: %v", reply, piece, err)
			}
		}
	}
}

func replyOf(most int) reply { return reply{most: most} }

// Each request has an answer of its own.
func TestBoundedPerRequest(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	c := &boundedConn{Conn: near, reply: replyOf(100)}
	go func() {
		for b := make([]byte, 10); ; {
			if _, err := far.Read(b); err != nil {
				return
			}
			if _, err := io.WriteString(far, "$80\r\n"+strings.Repeat("a", 80)+"\r\n"); err != nil {
				return
			}
		}
	}()
	for range 3 {
		if _, err := io.WriteString(c, "GET a"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 87)); err != nil {
			t.Fatal(err)
		}
	}
}
