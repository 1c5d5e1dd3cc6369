package fcgitest

import (
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// What is said comes at its pace and ends in its way, on connections of both kinds.
func TestSays(t *testing.T) {
	for name, script := range map[string]func(Pace, Ending, ...string) Script{"serial": Says, "multiplexed": MuxSays} {
		for pace, took := range map[Pace]time.Duration{Unhurried: 200 * time.Millisecond, ByteByByte: 52 * time.Millisecond, AtOnce: 0} {
			for ending, tail := range map[Ending][]string{
				Ended: {"out 7 ", "end 7 0"}, EndedOnly: {"end 7 0"}, ClosedOut: {"out 7 "}, HungUp: nil,
				EndedLate: {"out 7 ", "end 7 0"}, LateOnly: {"end 7 0"},
			} {
				synctest.Test(t, func(t *testing.T) {
					c := connect(t, Start(t, script(pace, ending, "a", "", "bcd")).Dial)
					start := time.Now()
					c.send(whole(7, "/"))
					c.want("out 7 a", "out 7 ", "out 7 bcd")
					c.want(tail...)
					switch ending {
					case ClosedOut, HungUp:
						c.wantError(io.EOF)
					case EndedLate, LateOnly:
						if d := time.Since(start); d < 10*time.Second {
							t.Errorf("%s, %v: ended after %v", name, pace, d)
						}
						fallthrough
					default:
						c.wantServed(7)
					}
					if d := time.Since(start); ending == Ended && (d < took || d > took+10*time.Millisecond) {
						t.Errorf("%s, %v: it took %v, want %v", name, pace, d, took)
					}
				})
			}
		}
	}
}
