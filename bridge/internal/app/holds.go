package app

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/hold"
	"github.com/sluice-proxy/sluice/bridge/hold/grip"
	"github.com/sluice-proxy/sluice/bridge/internal/exchange"
)

// Holds has an application's clients held, and publishes for them.
type Holds struct {
	Registry *hold.Registry
	Routes   *exchange.Routes

	key    atomic.Pointer[grip.Key]
	rate   *rate.Limiter // of messages
	denied atomic.Uint64 // attempts to publish without the key
}

// newHolds returns what holds the clients of an application, nil if nothing does. cfg is complete.
func newHolds(cfg *config.Application) (*Holds, error) {
	if cfg.Hold == nil {
		return nil, nil
	}
	key, err := readKey(cfg.Hold)
	if err != nil {
		return nil, err
	}
	h := &Holds{Registry: hold.New(holdLimits(cfg.Hold)), Routes: exchange.NewRoutes(), rate: rate.NewLimiter(rate.Limit(cfg.Hold.PublishRate), cfg.Hold.PublishRate)}
	h.key.Store(key)
	return h, nil
}

func readKey(cfg *config.Hold) (*grip.Key, error) {
	text, err := os.ReadFile(cfg.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("hold.key_file: %w", err)
	}
	key, err := grip.NewKey(text)
	if err != nil {
		return nil, fmt.Errorf("hold.key_file: %s: %w", cfg.KeyFile, err)
	}
	return key, nil
}

func holdLimits(cfg *config.Hold) hold.Limits {
	return hold.Limits{
		Holds: cfg.Clients, Client: cfg.ClientLimit, Channel: cfg.ChannelLimit, Channels: cfg.Channels,
		Message: cfg.Message, Backlog: cfg.Backlog, Recovers: cfg.Recover,
	}
}

// prepare returns what puts another configuration in force. Nil has nothing to change.
func (h *Holds) prepare(cfg *config.Application) (commit func(), err error) {
	if h == nil {
		return func() {}, nil
	}
	key, err := readKey(cfg.Hold)
	if err != nil {
		return nil, err
	}
	return func() {
		h.key.Store(key)
		h.Registry.Configure(holdLimits(cfg.Hold))
		h.rate.SetLimit(rate.Limit(cfg.Hold.PublishRate))
		h.rate.SetBurst(cfg.Hold.PublishRate)
	}, nil
}

// close ends what waits. Nil has nothing.
func (h *Holds) close() {
	if h != nil {
		h.Registry.Close()
	}
}

// Sig returns the signature of a request to the application.
func (h *Holds) Sig() string { return h.key.Load().Sig() }

// Denied returns how often somebody has tried to publish without the key.
func (h *Holds) Denied() uint64 { return h.denied.Load() }

// ErrPublishRate is why messages are not published now.
var ErrPublishRate = errors.New("more messages are published than hold.publish_rate allows")

// Permits returns nil if an Authorization field is that of somebody who may publish.
func (h *Holds) Permits(authorization string) error {
	err := h.key.Load().Permits(authorization, time.Now())
	if err != nil {
		h.denied.Add(1)
	}
	return err
}

// Publish publishes items, all or none. It returns how many messages held clients are sent. More items
// at once than may be published in a second count as if they were that many.
func (h *Holds) Publish(items []*hold.Item) (delivered int, err error) {
	if !h.rate.AllowN(time.Now(), min(len(items), h.rate.Burst())) {
		return 0, ErrPublishRate
	}
	for _, i := range items {
		delivered += h.Registry.Publish(i)
	}
	return delivered, nil
}
