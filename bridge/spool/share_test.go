package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// cutter counts how often it was called.
type cutter struct {
	n        atomic.Int32
	f        func() // what else it does; may be nil
	pressing bool
}

func (c *cutter) Pressing() bool { return c.pressing }

func (c *cutter) Cut() {
	c.n.Add(1)
	if c.f != nil {
		c.f()
	}
}

func (c *cutter) want(t *testing.T, what string, n int32) {
	t.Helper()
	if got := c.n.Load(); got != n {
		t.Errorf("%s was cut %d times, want %d", what, got, n)
	}
}

// crowd are answers of one client that nobody reads.
type crowd struct {
	pipes   []*Pipe
	cutters []*cutter
}

func newCrowd(t *testing.T, s *Store, client string, n, size int) *crowd {
	t.Helper()
	c := new(crowd)
	for range n {
		cut := new(cutter)
		p := s.NewPipe(Owner{ClientOf(client), cut})
		t.Cleanup(func() { p.Close() })
		mustWrite(t, p, pattern(size))
		c.pipes, c.cutters = append(c.pipes, p), append(c.cutters, cut)
	}
	return c
}

func (c *crowd) cut() (n int) {
	for _, cut := range c.cutters {
		n += int(cut.n.Load())
	}
	return n
}

func newUpload(t *testing.T, s *Store, client string) (*Buffer, *cutter) {
	t.Helper()
	cut := new(cutter)
	b := s.NewBuffer(Owner{ClientOf(client), cut}, -1)
	t.Cleanup(func() { b.Close() })
	return b, cut
}

// noMemory is a store whose bodies are all on disk, but for small requests.
func noMemory(t *testing.T, disk int64) (*Store, *logText) {
	t.Helper()
	log, text := logged()
	return newStore(t, Config{Memory: 1, Disk: disk, Logger: log}), text
}

// The room that is left for others: an eighth by all answers, another by a client
// that has more than a quarter.
func TestElasticBudget(t *testing.T) {
	for _, tt := range []struct {
		used, answers, held int64
		want                int64
	}{
		{0, 0, 0, 600},
		{100, 100, 100, 500},
		{600, 600, 600, 0},
		{600, 600, 0, 100}, // another client, of what the first has left
		{690, 690, 90, 10}, // up to what answers may have
		{700, 700, 0, 0},   // the rest is for requests,
		{750, 700, 0, 0},   // and as much again when they have it
		{750, 600, 0, 0},
		{700, 400, 0, 0}, // until they have half
		{700, 300, 0, 100},
		{700, 100, 0, 100},
		{700, 100, 100, 100},
		{600, 200, 200, 100}, // the last eighth is not for who has more than a quarter
		{800, 0, 0, 0},
	} {
		b := budget{size: 800, used: tt.used, by: [numKinds]int64{tt.used - tt.answers, tt.answers}}
		if got := max(b.available(answer, tt.held), 0); got != tt.want {
			t.Errorf("%d used, %d by answers, %d by this client: %d free, want %d", tt.used, tt.answers, tt.held, got, tt.want)
		}
	}
}

// Slow readers have all the room that answers may have. Uploads get the rest
// without anybody being cut, then up to half of it all at their cost, the slowest
// first.
func TestUploadsBesideSlowReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const unit = 10_000
		s, log := noMemory(t, 80*unit)
		readers := newCrowd(t, s, "192.0.2.1", 6, 10*unit)
		time.Sleep(time.Minute)
		for i, p := range readers.pipes { // the last is slowest
			mustRead(t, p, pattern(5*unit-i*unit/10))
		}

		first, cut := newUpload(t, s, "192.0.2.2")
		mustWrite(t, first, pattern(20*unit))
		if n := readers.cut(); n != 0 {
			t.Fatalf("%d answers were cut while there was room", n)
		}
		mustWrite(t, first, pattern(20*unit))
		if n := readers.cut(); n != 2 || readers.cutters[5].n.Load() != 1 || readers.cutters[4].n.Load() != 1 {
			t.Errorf("%d answers were cut for an upload, want the two slowest", n)
		}
		if _, err := readers.pipes[5].Read(make([]byte, 1)); !errors.Is(err, ErrCut) {
			t.Errorf("reading one that was cut: %v", err)
		}
		if _, err := readers.pipes[5].Write(make([]byte, 1)); !errors.Is(err, ErrCut) {
			t.Errorf("writing one that was cut: %v", err)
		}
		cut.want(t, "the upload", 0)
		if n := s.Stats().Cut; n != 2 {
			t.Errorf("Stats has %d", n)
		}
		said := log.String()
		if strings.Count(said, "\n") != 1 || !strings.Contains(said, "client=192.0.2.1 held=100000 held_by_client=600000") || !strings.Contains(said, "in_favour_of=192.0.2.2") {
			t.Errorf("the log has\n%s\nwant one line in a second, of the client", said)
		}
		mustRead(t, readers.pipes[0], pattern(10 * unit)[5*unit:])
	})
}

// An answer does without room rather than have a client cut that has no more than
// its share; of one that has more, the slowest goes.
func TestAnswersBesideSlowReaders(t *testing.T) {
	for _, tt := range []struct {
		name    string
		clients []string // of six answers
		waited  bool     // for the worker that writes a seventh
		cut     bool
	}{
		{"one client has it all", []string{"192.0.2.1"}, false, true},
		{"one network has it all", []string{"2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::"}, false, true},
		{"many clients have it", []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6"}, true, false},
		{"everybody is one client", []string{"192.0.2.99"}, false, false},
		{"everybody is one client, and others wait", []string{"192.0.2.99"}, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const unit = 10_000
				s, _ := noMemory(t, 80*unit)
				var hog crowd
				for i := range 6 {
					c := newCrowd(t, s, tt.clients[i%len(tt.clients)], 1, 10*unit)
					hog.pipes, hog.cutters = append(hog.pipes, c.pipes...), append(hog.cutters, c.cutters...)
				}
				// Somebody else has the room that a large client leaves.
				if len(tt.clients) < 6 {
					newCrowd(t, s, "192.0.2.50", 1, 10*unit)
				} else {
					newCrowd(t, s, "192.0.2.50", 10, unit)
				}
				time.Sleep(time.Minute)

				p := s.NewPipe(Owner{ClientOf("192.0.2.99"), &cutter{pressing: tt.waited}})
				defer p.Close()
				w := start(p.Write, pattern(5*unit))
				w.waits(t)
				if tt.cut {
					time.Sleep(2 * retryDisk)
					w.want(t, 5*unit, nil)
				} else {
					time.Sleep(time.Minute)
					w.waits(t)
				}
				if n := hog.cut(); n > 0 != tt.cut || n > 1 {
					t.Errorf("%d were cut, want one: %v", n, tt.cut)
				}
				mustRead(t, p, pattern(5*unit))
				w.want(t, 5*unit, nil)
			})
		})
	}
}

// What was received whole is never given up, so that one client's bodies, which wait for
// workers, must leave some room for those of others.
func TestUploadsBesideWholeUploads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const unit = 10_000
		s, _ := noMemory(t, 80*unit)
		upload := func(client string, units int) error {
			b, _ := newUpload(t, s, client)
			_, err := b.ReadFrom(bytes.NewReader(pattern(units * unit)))
			return err
		}
		for i, want := range []error{6: nil, 7: ErrDiskFull, 8: ErrDiskFull} {
			if err := upload("192.0.2.1", 10); !errors.Is(err, want) {
				t.Errorf("upload %d: %v, want %v", i, err, want)
			}
		}
		for range 10 {
			if err := upload("192.0.2.2", 1); err != nil {
				t.Errorf("another client's: %v", err)
			}
		}
		if err := upload("192.0.2.2", 1); !errors.Is(err, ErrDiskFull) {
			t.Errorf("beyond the disk: %v", err)
		}
	})
}

// Among uploads, who holds twice as much makes room for who holds less: first of
// another client, then of the same one. What was received whole stays.
func TestUploadsBesideSlowUploads(t *testing.T) {
	for _, tt := range []struct {
		name   string
		client string
		held   int // by the large upload
		whole  bool
		cut    bool
	}{
		{"another client's", "192.0.2.2", 80_000, false, true},
		{"the same client's", "192.0.2.1", 80_000, false, true},
		{"not much larger", "192.0.2.1", 15_000, false, false},
		{"whole", "192.0.2.2", 80_000, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _ := noMemory(t, alone(int64(tt.held)))
				large, cut := newUpload(t, s, "192.0.2.1")
				if tt.whole {
					if _, err := large.ReadFrom(bytes.NewReader(pattern(tt.held))); err != nil {
						t.Fatal(err)
					}
				} else {
					mustWrite(t, large, pattern(tt.held))
				}
				rest, _ := newUpload(t, s, "192.0.2.3") // of a third client, in what is left for others
				mustWrite(t, rest, pattern(int(s.disk.size)-tt.held))
				small, spared := newUpload(t, s, tt.client)
				n, err := small.Write(pattern(10_000))
				if tt.cut && (n != 10_000 || err != nil) || !tt.cut && (n != 0 || !errors.Is(err, ErrDiskFull)) {
					t.Errorf("Write = %d, %v, cut: %v", n, err, tt.cut)
				}
				if tt.cut {
					cut.want(t, "the large one", 1)
					if _, err := large.Write([]byte("x")); !errors.Is(err, ErrCut) {
						t.Errorf("Write of one that was cut: %v", err)
					}
				} else {
					cut.want(t, "the large one", 0)
					if got, err := io.ReadAll(large.NewReader()); err != nil || len(got) != tt.held {
						t.Errorf("read %d, %v", len(got), err)
					}
				}
				spared.want(t, "the small one", 0)
			})
		})
	}
}

// Each file counts for some disk at least, so that there are no more of them than
// the process has descriptors for.
func TestFilesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, Config{Memory: 1, Disk: 1 << 20, Files: 8})
		for _, client := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"} {
			for range 5 {
				p := s.NewPipe(Owner{Client: ClientOf(client)})
				t.Cleanup(func() { p.Close() })
				start(p.Write, pattern(10))
			}
		}
		if n := s.Stats().Files; n != 7 { // and one for a request
			t.Errorf("%d files", n)
		}
		b, _ := newUpload(t, s, "192.0.2.4")
		mustWrite(t, b, pattern(5000))
		ninth, _ := newUpload(t, s, "192.0.2.4")
		if n, err := ninth.Write(pattern(5000)); n != 0 || !errors.Is(err, ErrDiskFull) {
			t.Errorf("a ninth file: %d, %v", n, err)
		}
	})
}

// Several stores have no more files than one limit allows, and what one gives back another gets.
func TestFilesOfSeveralStores(t *testing.T) {
	if s := newStore(t, Config{Files: 3}); s.files != nil {
		t.Error("a store with a limit of its own has that of the process")
	}
	s, err := New(Config{Dir: t.TempDir()})
	if err != nil || s.files != ofProcess() || s.files.most > int64(max(descriptors()/4, 1)) {
		t.Errorf("the limit of the process is %+v of %d, %v", s.files, descriptors(), err)
	}
	synctest.Test(t, func(t *testing.T) {
		limit := &fileLimit{most: 3}
		var all []*Pipe
		for i := range 4 {
			s, _ := noMemory(t, 1<<20)
			s.files = limit
			p := s.NewPipe(Owner{Client: ClientOf("192.0.2.1")})
			defer p.Close()
			w := start(p.Write, pattern(10))
			synctest.Wait()
			if n := s.Stats().Files; n != min(3-i, 1) {
				t.Errorf("store %d has %d files", i, n)
			}
			if i == 3 {
				w.waits(t)
				if err := all[0].Close(); err != nil {
					t.Error(err)
				}
				time.Sleep(retryDisk)
				w.want(t, 10, nil)
			}
			all = append(all, p)
		}
		if n := limit.used.Load(); n != 3 {
			t.Errorf("%d files are counted", n)
		}
		s, log := noMemory(t, 1<<20)
		s.files = limit
		b, _ := newUpload(t, s, "192.0.2.2")
		if _, err := b.Write(pattern(5000)); !errors.Is(err, ErrDiskFull) || !strings.Contains(fmt.Sprint(err), "as many temporary files, 3,") || !strings.Contains(log.String(), "limit of open files") {
			t.Errorf("an upload has the error %v\n%s", err, log)
		}
		for _, p := range all {
			p.Close()
		}
		if n := limit.used.Load(); n != 0 {
			t.Errorf("%d files are counted when all are closed", n)
		}
	})
}

func TestClientOf(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1":            "192.0.2.1",
		"::ffff:192.0.2.1":     "192.0.2.1",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
		"fe80::1%eth0":         "fe80::/64",
		"unix":                 "unknown",
		"":                     "unknown",
		"192.0.2.1:80":         "unknown",
	} {
		if got := ClientOf(text).String(); got != want {
			t.Errorf("ClientOf(%q) is %s, want %s", text, got, want)
		}
	}
}

// What a pace expects: what it has seen in the last window and the one before.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace
		p.begin()
		want := func(seconds float64) {
			t.Helper()
			if got := p.time(100_000, time.Now()).Seconds(); got < seconds*0.99 || got > seconds*1.01 {
				t.Errorf("after %v: %v s, want %v", time.Now(), got, seconds)
			}
		}
		want(5) // nothing is known
		time.Sleep(paceWindow / 2)
		want(5)
		p.add(50_000)
		want(5)
		time.Sleep(paceWindow/2 + time.Second) // 50,000 in 6 s
		want(12)
		p.add(200_000)
		want(2.4)
		time.Sleep(paceWindow) // 200,000 in 6 s
		want(3)
		time.Sleep(2 * paceWindow)
		want(100_000)
		if got := p.time(1<<60, time.Now()); got != maxDuration {
			t.Errorf("an EiB takes %v", got)
		}
		p.begin()
		want(5)
	})
}
