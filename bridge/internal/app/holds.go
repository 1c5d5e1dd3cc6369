package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/fleet"
	"github.com/sluice-proxy/sluice/bridge/hold"
	"github.com/sluice-proxy/sluice/bridge/hold/grip"
	"github.com/sluice-proxy/sluice/bridge/internal/exchange"
)

// Holds has an application's clients held, and publishes for them.
type Holds struct {
	Registry *hold.Registry
	Routes   *exchange.Routes
	Notices  *Notices // of clients that are gone

	key    atomic.Pointer[grip.Key]
	rate   *rate.Limiter // of messages
	denied atomic.Uint64 // attempts to publish without the key

	fleet  *fleet.Broadcast // to and from the other gates; nil: there are none
	logger *slog.Logger
}

// MostPublished returns how large the body of a publication may be where the largest message has so many
// bytes: JSON has up to six bytes for one.
func MostPublished(message int) int { return 1<<20 + 8*message }

// newHolds returns what holds the clients of an application, nil if nothing does. cfg is complete.
func newHolds(cfg *config.Application, logger *slog.Logger) (*Holds, error) {
	if cfg.Hold == nil {
		return nil, nil
	}
	key, err := readKey(cfg.Hold)
	if err != nil {
		return nil, err
	}
	h := &Holds{Registry: hold.New(holdLimits(cfg.Hold)), Routes: exchange.NewRoutes(), rate: rate.NewLimiter(rate.Limit(cfg.Hold.PublishRate), cfg.Hold.PublishRate), logger: logger}
	h.key.Store(key)
	h.Notices = &Notices{logger: logger, limits: noticeLimits(cfg.Hold)}
	if f := &cfg.Fleet; f.Engine != "" {
		if h.fleet, err = fleet.NewBroadcast(f.Engine, f.Application, MostPublished(cfg.Hold.Message), h.hear, logger); err != nil {
			return nil, fmt.Errorf("fleet.engine: %w", err)
		}
	}
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

func noticeLimits(cfg *config.Hold) NoticeLimits {
	return NoticeLimits{Active: cfg.Recover, Waiting: cfg.Clients}
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
		h.Notices.configure(noticeLimits(cfg.Hold))
		h.rate.SetLimit(rate.Limit(cfg.Hold.PublishRate))
		h.rate.SetBurst(cfg.Hold.PublishRate)
	}, nil
}

// start begins to hear of the other gates. Nil does nothing.
func (h *Holds) start() {
	if h != nil && h.fleet != nil {
		h.fleet.Start()
	}
}

// close ends what waits. Nil has nothing.
func (h *Holds) close() {
	if h == nil {
		return
	}
	if h.fleet != nil {
		h.fleet.Close()
	}
	h.Notices.close()
	h.Registry.Close()
}

// hear publishes what was published at another gate, which has checked it.
func (h *Holds) hear(body []byte) {
	items, err := grip.ParseItems(body, h.Registry.Limits().Message)
	if err != nil {
		h.logger.Warn("what was published at another gate cannot be published here", "error", err.Error(), "advice", "let all gates of the fleet have the same version of Sluice and the same hold.message")
		return
	}
	for _, i := range items {
		h.Registry.Publish(i)
	}
}

// FleetError is why what was published has reached the clients of this gate alone.
type FleetError struct{ Err error }

func (e *FleetError) Error() string {
	return "published for the clients of this gate alone, as the fleet's engine cannot be reached: " + e.Err.Error()
}

// Unwrap returns the reason.
func (e *FleetError) Unwrap() error { return e.Err }

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

// Admit returns what publishes the items in a body, all of them, for the clients of all gates. More items at
// once than may be published in a second count as if they were that many. The error is ErrPublishRate, or
// about the body; that of publish is a *FleetError.
func (h *Holds) Admit(body []byte) (publish func(context.Context) error, err error) {
	items, err := grip.ParseItems(body, h.Registry.Limits().Message)
	if err != nil {
		return nil, err
	}
	if !h.rate.AllowN(time.Now(), min(len(items), h.rate.Burst())) {
		return nil, ErrPublishRate
	}
	return func(ctx context.Context) error {
		for _, i := range items {
			h.Registry.Publish(i)
		}
		if h.fleet == nil {
			return nil
		}
		if err := h.fleet.Send(ctx, body); err != nil {
			return &FleetError{err}
		}
		return nil
	}, nil
}
