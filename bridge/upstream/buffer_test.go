package upstream_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
	"github.com/sluice-proxy/sluice/bridge/upstream"
	"github.com/sluice-proxy/sluice/bridge/upstream/fastcgi"
)

// Events are the same whatever the size of the buffer, also if it grows between reads.
func TestBuffer(t *testing.T) {
	var wire []byte
	for n := range 20 {
		wire = fcgi.AppendStream(wire, fcgi.TypeStdout, 1, fmt.Appendf(nil, "%*d", 7*n+1, n))
	}
	wire = fcgi.AppendEndRequest(wire, 1, fcgi.EndRequest{})
	var want strings.Builder
	for n := range 20 {
		want.WriteString(fmt.Sprintf("%*d", 7*n+1, n))
	}
	var b upstream.Buffer
	for _, size := range []int{64, 100, 4096} {
		for grow := range 5 {
			b.Reset(fastcgi.Codec{}.NewDecoder(), size)
			b.Begin(1, nil)
			got, ended, reads := "", false, 0
			for rest := wire; !ended; reads++ {
				n := copy(b.Space(), rest)
				if n == 0 {
					t.Fatalf("size %d: no space, or no end after %q", size, got)
				}
				rest = rest[n:]
				b.Filled(n)
				if reads == grow {
					b.Grow(2 * size)
				}
				for ev, err := b.Next(); ev.Kind != 0 || err != nil; ev, err = b.Next() {
					if err != nil {
						t.Fatal(err)
					}
					got += string(ev.Data)
					ended = ended || ev.Kind == upstream.End
				}
			}
			if got != want.String() || b.Received() != int64(len(wire)) || !b.Clean() {
				t.Errorf("size %d, grown at read %d: %q after %d of %d bytes, clean %v", size, grow, got, b.Received(), len(wire), b.Clean())
			}
		}
	}
	b.Filled(copy(b.Space(), "rest"))
	if b.Clean() {
		t.Error("clean with bytes left")
	}
	if b.Discard(); !b.Clean() || b.EOF().Kind != 0 {
		t.Error("not clean after Discard")
	}
}

// expecter is a decoder that is in the middle of an event.
type expecter struct {
	upstream.Decoder
	left int
}

func (e expecter) Expects() int { return e.left }

// A read ends with a large event, and with no small one.
func TestSpaceEndsWithLargeEvents(t *testing.T) {
	for left, want := range map[int]int{0: 66 << 10, 100: 66 << 10, 40 << 10: 40 << 10, 1 << 20: 66 << 10} {
		var b upstream.Buffer
		b.Reset(expecter{left: left}, 66<<10)
		if n := len(b.Space()); n != want {
			t.Errorf("with %d bytes to come there is space for %d, want %d", left, n, want)
		}
	}
}
