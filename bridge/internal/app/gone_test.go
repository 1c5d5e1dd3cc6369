package app

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// crowd are notices whose sending takes a second.
type crowd struct {
	notices *Notices
	log     bytes.Buffer
	mu      sync.Mutex
	sent    []string
	done    atomic.Int32
	status  int
	err     error
}

func newCrowd(active, waiting int) *crowd {
	c := &crowd{status: 204}
	c.notices = &Notices{limits: NoticeLimits{active, waiting}, logger: slog.New(slog.NewTextHandler(&c.log, nil))}
	return c
}

func (c *crowd) add(ctx context.Context, of any, names string) {
	for name := range strings.FieldsSeq(names) {
		c.notices.Add(Notice{
			Of: of, Ctx: ctx, Path: "/" + name, Done: func() { c.done.Add(1) },
			Send: func() (int, error) {
				c.mu.Lock()
				c.sent = append(c.sent, name)
				c.mu.Unlock()
				select {
				case <-time.After(time.Second):
					return c.status, c.err
				case <-ctx.Done():
					return 503, ctx.Err()
				}
			},
		})
		synctest.Wait() // one after the other
	}
}

func (c *crowd) want(t *testing.T, what, sent string, done int32, counts NoticeCounts) {
	t.Helper()
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.Sort(c.sent) // of those that begin at the same time, it is open which is first
	if got := strings.Join(c.sent, " "); got != sent || c.done.Load() != done || c.notices.Counts() != counts {
		t.Errorf("%s: %s, %d done, %+v; want %s, %d, %+v", what, got, c.done.Load(), c.notices.Counts(), sent, done, counts)
	}
}

// As many as may are sent at once, in their order; beyond the room that there is they are dropped.
func TestNoticesInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(2, 3)
		c.add(t.Context(), 1, "a b c d e f g")
		c.want(t, "at first", "a b", 2, NoticeCounts{Dropped: 2, Active: 2, Waiting: 3})
		if n := strings.Count(c.log.String(), "clients=1"); n != 1 {
			t.Errorf("the log says at once: %s", c.log.String())
		}
		time.Sleep(1500 * time.Millisecond)
		c.want(t, "after one", "a b c d", 4, NoticeCounts{Told: 2, Dropped: 2, Active: 2, Waiting: 1})
		c.notices.configure(NoticeLimits{3, 3})
		c.want(t, "with more room", "a b c d e", 4, NoticeCounts{Told: 2, Dropped: 2, Active: 3})
		c.notices.configure(NoticeLimits{1, 3})
		c.add(t.Context(), 1, "h i")
		c.want(t, "with less room", "a b c d e", 4, NoticeCounts{Told: 2, Dropped: 2, Active: 3, Waiting: 2})
		time.Sleep(600 * time.Millisecond)
		c.want(t, "with less room, after one", "a b c d e", 6, NoticeCounts{Told: 4, Dropped: 2, Active: 1, Waiting: 2})
		time.Sleep(10 * time.Second)
		c.want(t, "in the end", "a b c d e h i", 9, NoticeCounts{Told: 7, Dropped: 2})
		synctest.Wait()
		c.notices.close()
		if n := strings.Count(c.log.String(), "advice="); n != 2 {
			t.Errorf("the log says: %s", c.log.String())
		}
	})
}

// A site that closes takes its own along, and the end of the application all.
func TestNoticesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(1, 9)
		ctx, cancel := context.WithCancel(t.Context())
		c.add(ctx, 1, "a b")
		c.add(t.Context(), 2, "c d")
		c.add(ctx, 1, "e")
		cancel()
		c.notices.Leave(1)
		c.want(t, "without one site", "a c", 3, NoticeCounts{Dropped: 3, Active: 1, Waiting: 1})
		c.add(ctx, 1, "f")
		c.want(t, "that site again", "a c", 4, NoticeCounts{Dropped: 4, Active: 1, Waiting: 1})
		c.notices.close()
		c.add(t.Context(), 2, "g")
		time.Sleep(2 * time.Second)
		c.want(t, "closed", "a c", 7, NoticeCounts{Told: 1, Dropped: 6})
	})
}

// The log is told once that the application does not take them.
func TestNoticesFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(1, 9)
		c.status, c.err = 403, nil
		c.add(t.Context(), 1, "a b")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		c.status, c.err = 502, errors.New("away")
		c.add(t.Context(), 1, "c")
		time.Sleep(5 * time.Second)
		c.want(t, "failed", "a b c", 3, NoticeCounts{Failed: 3})
		if text := c.log.String(); strings.Count(text, "advice=") != 1 || !strings.Contains(text, "path=/a status=403") {
			t.Errorf("the log says: %s", text)
		}
	})
}
