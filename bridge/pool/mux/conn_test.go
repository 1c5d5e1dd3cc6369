package mux

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// The end of a connection is the end of its streams, present and future, and of the hooks.
func TestEnd(t *testing.T) {
	why := errors.New("the instance was removed")
	for name, tc := range map[string]struct {
		script fcgitest.Script
		end    func(c *Conn, of *calls)
		want   error
		lost   int32
	}{
		"closed":                    {fcgitest.MuxHold, func(c *Conn, _ *calls) { c.Close() }, net.ErrClosed, 0},
		"cut":                       {fcgitest.MuxHold, func(c *Conn, _ *calls) { c.Cut(why) }, why, 1},
		"rechecked, not in order":   {fcgitest.MuxHold, func(c *Conn, of *calls) { of.rechecks = why; c.Recheck() }, why, 1},
		"the application closes it": {fcgitest.MuxDies(0), func(*Conn, *calls) {}, io.EOF, 1},
	} {
		t.Run(name, func(t *testing.T) {
			onConn(t, 1<<20, tc.script, func(t *testing.T, c *Conn, of *calls) {
				s := open(t, c, "/")
				tc.end(c, of)
				synctest.Wait()
				for _, s := range []*Stream{s, c.Open()} {
					if _, err := answer(s); !errors.Is(err, tc.want) {
						t.Errorf("stream %d: %v, want %v", s.ID, err, tc.want)
					}
				}
				if of.lost.Load() != tc.lost {
					t.Errorf("lost %d times", of.lost.Load())
				}
			})
		})
	}
}

// A connection in order, or on which something has come, survives Recheck.
func TestRecheck(t *testing.T) {
	onConn(t, 1<<20, fcgitest.MuxAfter(time.Second, fcgitest.Page), func(t *testing.T, c *Conn, of *calls) {
		for range 2 {
			s := open(t, c, "/")
			synctest.Wait()
			c.Recheck()
			if out, err := answer(s); err != nil || out != fcgitest.Page {
				t.Errorf("%q, %v", out, err)
			}
			of.rechecks = errors.New("nothing has come")
		}
	})
}

// An application that reads nothing is given up after SendTimeout. The requests of which it
// was sent nothing are known not to have run.
func TestStuck(t *testing.T) {
	onConn(t, 10<<20, fcgitest.MuxDeafTo(0), func(t *testing.T, c *Conn, of *calls) {
		var streams []*Stream
		for range 8 {
			streams = append(streams, open(t, c, "/"+strings.Repeat("x", 60_000)))
			synctest.Wait()
		}
		begun, unrun := time.Now(), 0
		for _, s := range streams {
			_, err := s.Next(time.Time{})
			if !errors.Is(err, ErrSendTimeout) {
				t.Error(err)
			}
			if s.Unrun() {
				unrun++
			}
			s.Leave(false)
		}
		if d := time.Since(begun); unrun == 0 || unrun == len(streams) || d > time.Minute || of.retired.Load() != 1 || of.lost.Load() != 1 {
			t.Errorf("%d of %d did not run, after %v; retired %d, lost %d", unrun, len(streams), d, of.retired.Load(), of.lost.Load())
		}
	})
}
