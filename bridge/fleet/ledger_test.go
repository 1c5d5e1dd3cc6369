package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// startNonsense serves an engine that gives the same answer to whatever it is sent, or to all but the
// greeting.
func startNonsense(t *testing.T, answer string, greets bool) (url string) {
	t.Helper()
	url, _ = startCounted(t, answer, greets)
	return url
}

// startCounted is startNonsense, and counts what it is sent.
func startCounted(t *testing.T, answer string, greets bool) (url string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for b := make([]byte, 4096); ; {
					n, err := c.Read(b)
					if err != nil {
						return
					}
					asked.Add(1)
					says := answer
					if greets && strings.Contains(strings.ToLower(string(b[:n])), "hello") {
						says = "-ERR unknown command 'HELLO'\r\n"
					}
					if _, err := c.Write([]byte(says)); err != nil {
						return
					}
				}
			}()
		}
	}()
	return "redis://" + l.Addr().String(), asked
}

// What an engine answers that is none, or that is ill, is an error of the renewal, and of no more.
func TestEngineTalksNonsense(t *testing.T) {
	grant := func(status, granted, keep string) string {
		return "*11\r\n$" + status + "\r\n:" + granted + "\r\n:" + keep + "\r\n$1\r\n1\r\n:1\r\n:0\r\n:0\r\n" + strings.Repeat("$0\r\n\r\n", 4)
	}
	for name, answer := range map[string]string{
		"nothing":                 "",
		"another protocol":        "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
		"memcached":               "ERROR\r\n",
		"a number":                ":1\r\n",
		"null":                    "$-1\r\n",
		"no text":                 "$0\r\n\r\n",
		"a password is missing":   "-NOAUTH Authentication required.\r\n",
		"it loads":                "-LOADING Redis is loading the dataset in memory\r\n",
		"an empty list":           "*0\r\n",
		"a list of other things":  "*11\r\n" + strings.Repeat(":1\r\n", 11),
		"fewer than none":         grant("2\r\nok", "-1", "-1"),
		"no status":               grant("3\r\nwhy", "1", "1"),
		"a text without end":      "$2147483647\r\n" + strings.Repeat("a", 1000),
		"a text that is too long": "$9223372036854775800\r\n",
		"a list that is too long": "*9223372036854775800\r\n",
		"a map that is too long":  "%9223372036854775800\r\n",
	} {
		for _, greets := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", greets ", greets), func(t *testing.T) {
				r, err := NewRedis(startNonsense(t, answer, greets), "app")
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				for range 2 {
					ctx, cancel := context.WithTimeout(context.Background(), 150*time.Millisecond)
					g, err := r.Renew(ctx, Terms{Workers: 8, Gates: 2, Term: time.Second}, Report{Gate: "g", Name: "n", Seq: 1, Mode: Join})
					cancel()
					if err == nil {
						t.Errorf("is taken for a grant: %+v", g)
					}
				}
			})
		}
	}
}

// An engine that announces more than any answer has costs no memory.
func TestEngineAnnouncesTooMuch(t *testing.T) {
	for _, answer := range []string{"*100000000\r\n", "%50000000\r\n", "~100000000\r\n", "$2000000000\r\n", "*2\r\n$3\r\nabc\r\n*100000000\r\n", strings.Repeat("*20000\r\n", 1000)} {
		r, err := NewRedis(startNonsense(t, answer, true), "app")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err = r.Renew(t.Context(), Terms{Workers: 8, Gates: 2, Term: time.Second}, Report{Gate: "g", Name: "n", Seq: 1, Mode: Join})
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, errTooLarge) && !errors.Is(err, errAnswer) || got > 4<<20 {
			t.Errorf("%.30q: %v, and it took %d bytes", answer, err, got)
		}
	}
}
