package hold

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/seeds"
)

// life is a registry with clients that come and go. What each has been sent is compared with what was
// published.
type life struct {
	t        testing.TB
	dice     *rand.Rand
	registry *Registry
	site     *Site
	clients  []*client
	ended    map[End]int
	last     [3]int // the id of the last item of each channel, as the application knows it
	held     [3]*Item
}

// client is a Hold and its driver.
type client struct {
	life     *life
	hold     *Hold
	mode     Mode
	channels []int
	has      map[int]int // the id that the client knows of, by channel
	over     bool
}

func (c *client) Wake() {}

func channelName(i int) string { return fmt.Sprint("channel", i) }

// come has a client held, who knows what the application knows, or less.
func (l *life) come() {
	c := &client{life: l, mode: Mode(l.dice.IntN(2)), has: make(map[int]int)}
	in := &Instruct{Mode: c.mode, Recovers: l.dice.IntN(4) > 0}
	for _, i := range l.dice.Perm(3)[:1+l.dice.IntN(3)] {
		known := max(0, l.last[i]-l.dice.IntN(8)/6)
		c.channels = append(c.channels, i)
		c.has[i] = known
		in.Subscriptions = append(in.Subscriptions, Subscription{Channel: channelName(i), PrevID: strconv.Itoa(known)})
	}
	h, err := l.site.Hold(in, Who{Key: uint64(l.dice.IntN(4))}, c)
	if _, limited := err.(*LimitError); err != nil && !limited {
		l.t.Fatal(err)
	}
	if err == nil {
		c.hold = h
		l.clients = append(l.clients, c)
	}
}

// publish publishes the next item of a channel, or keeps it to publish it after the one behind it; or
// publishes one twice.
func (l *life) publish() {
	i := l.dice.IntN(3)
	l.last[i]++
	item := &Item{Channel: channelName(i), ID: strconv.Itoa(l.last[i]), PrevID: strconv.Itoa(l.last[i] - 1)}
	m := &Message{Body: fmt.Append(nil, i, " ", l.last[i])}
	item.Response, item.Stream = m, m
	switch before := l.held[i]; {
	case before != nil:
		l.registry.Publish(item)
		if l.dice.IntN(5) > 0 { // else it is lost
			l.registry.Publish(before)
		}
		l.held[i] = nil
	case l.dice.IntN(4) == 0:
		l.held[i] = item
	default:
		l.registry.Publish(item)
		if l.dice.IntN(4) == 0 {
			l.registry.Publish(item)
		}
	}
}

// any returns a client that is there, nil if there is none.
func (l *life) any() *client {
	if len(l.clients) == 0 {
		return nil
	}
	return l.clients[l.dice.IntN(len(l.clients))]
}

// take has a client take what there is for it.
func (c *client) take() {
	for !c.over {
		m, end := c.hold.Take()
		switch {
		case m != nil:
			var i, id int
			if _, err := fmt.Sscan(string(m.Body), &i, &id); err != nil {
				c.life.t.Fatal(err)
			}
			if id != c.has[i]+1 {
				c.life.t.Fatalf("on %d, a client that has %d is sent %d", i, c.has[i], id)
			}
			c.has[i] = id
		case end != None:
			c.ends(end)
		default:
			return
		}
	}
}

func (c *client) ends(e End) {
	l := c.life
	c.over = true
	l.ended[e]++
	l.clients = slices.DeleteFunc(l.clients, func(other *client) bool { return other == c })
	if e == Recover {
		for _, s := range c.hold.Missed() {
			i, _ := strconv.Atoi(s.Channel[len("channel"):])
			if s.PrevID != strconv.Itoa(c.has[i]) {
				l.t.Fatalf("on %d, a client that has %d is said to have %s", i, c.has[i], s.PrevID)
			}
		}
	}
	if l.dice.IntN(2) == 0 {
		c.hold.Recovered()
	}
	c.hold.Leave()
	c.hold.Leave()
	if m, again := c.hold.Take(); m != nil || again != e && again != Left {
		l.t.Fatalf("after its end, %v, a client takes %v, %v", e, m, again)
	}
}

func (l *life) check() {
	s := l.registry.Snapshot()
	limits := l.registry.Limits()
	switch {
	case s.Recovering > limits.Recovers:
		l.t.Fatalf("%d recover", s.Recovering)
	case s.Holds > limits.Holds:
		l.t.Fatalf("%d are held", s.Holds)
	case s.Waiting > 0 && s.Recovering < limits.Recovers:
		l.t.Fatalf("%d wait for their turn, and %d recover", s.Waiting, s.Recovering)
	}
}

// Random lives of a registry: each client is sent what was published, in order and once, or is told that
// it has missed something; each ends once, and nothing is left.
func TestModel(t *testing.T) {
	for seed := range seeds.Of(t, 60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &life{t: t, dice: rand.New(rand.NewPCG(seed, 1)), ended: make(map[End]int)}
				l.registry = New(Limits{Holds: 40, Client: 30, Channel: 35, Channels: 3, Message: 100, Backlog: 60 + 9*messageCost, Recovers: 2})
				l.site = l.registry.Site()
				for step := range 3000 {
					c := l.any()
					switch roll := l.dice.IntN(20); {
					case roll < 7:
						l.come()
					case roll < 12:
						l.publish()
					case c == nil:
					case roll < 17:
						c.take()
					case roll == 17:
						c.hold.Expire()
						c.take()
					case roll == 18:
						c.hold.Leave()
						if c.take(); !c.over {
							t.Fatal("it has left, and not ended")
						}
					default:
						time.Sleep(time.Duration(l.dice.IntN(1500)) * time.Millisecond)
					}
					if step%50 == 0 {
						l.check()
					}
				}
				l.site.Drain()
				for len(l.clients) > 0 {
					before := len(l.clients)
					for _, c := range slices.Clone(l.clients) {
						c.take()
					}
					if len(l.clients) == before {
						t.Fatalf("%d clients have no end", before)
					}
				}
				s := l.registry.Snapshot()
				if s.Holds+s.Channels+s.Recovering+s.Waiting != 0 || len(l.registry.clients) != 0 || l.site.first != nil {
					t.Fatalf("left: %+v", s)
				}
				l.registry.Close()
			})
		})
	}
}

// waker is woken in any goroutine.
type waker struct{ come chan struct{} }

func (w waker) Wake() {
	select {
	case w.come <- struct{}{}:
	default:
	}
}

// Publishing, leaving, expiring and draining at the same time: each client has one end, and what it was
// sent is in order.
func TestRaces(t *testing.T) {
	r := New(Limits{Holds: 10_000, Client: 10_000, Channel: 10_000, Channels: 4, Message: 100, Backlog: 1 << 20, Recovers: 3})
	site := r.Site()
	var all sync.WaitGroup
	const clients = 300
	var mu sync.Mutex
	ends := make(map[End]int)
	for i := range clients {
		all.Go(func() {
			w := waker{make(chan struct{}, 1)}
			h, err := site.Hold(&Instruct{Mode: Mode(i % 2), Subscriptions: []Subscription{{Channel: "a"}, {Channel: "b"}}, Recovers: i%3 == 0}, Who{Key: uint64(i % 7)}, w)
			if err != nil {
				t.Error(err)
				return
			}
			switch i % 5 {
			case 0:
				all.Go(h.Leave)
			case 1:
				all.Go(h.Expire)
			case 2:
				all.Go(h.Ask)
			}
			last := map[byte]int{}
			for {
				m, end := h.Take()
				switch {
				case m != nil:
					n, _ := strconv.Atoi(string(m.Body[1:]))
					if n <= last[m.Body[0]] {
						t.Errorf("%d after %d", n, last[m.Body[0]])
					}
					last[m.Body[0]] = n
				case end != None:
					h.Recovered()
					h.Leave()
					mu.Lock()
					ends[end]++
					mu.Unlock()
					return
				default:
					<-w.come
				}
			}
		})
	}
	for _, channel := range []string{"a", "b"} {
		all.Go(func() {
			for n := 1; n <= 200; n++ {
				m := &Message{Body: []byte(channel + strconv.Itoa(n))}
				r.Publish(&Item{Channel: channel, Response: m, Stream: m})
			}
			site.Drain()
		})
	}
	all.Wait()
	n := 0
	for _, k := range ends {
		n += k
	}
	s := r.Snapshot()
	if n != clients || s.Holds+s.Channels+s.Recovering+s.Waiting != 0 {
		t.Errorf("%d ends of %d clients, %+v", n, clients, s)
	}
	r.Close()
}
