package fleet

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// What is published at one gate reaches the others by a stream of the engine. It keeps the last
// broadcastKept messages or so, for gates that were away for a moment.
const (
	broadcastKept    = 1000
	broadcastTimeout = time.Second
	broadcastWait    = 2 * time.Second // for the next message, at a time
	broadcastPause   = 500 * time.Millisecond
	broadcastCount   = 100 // messages at a time
)

// onlyNew stands for the ID of the last message there is.
const onlyNew = "$"

// Fields of a message in the stream.
const (
	fieldGate = "gate"
	fieldBody = "body"
)

// Broadcast tells the gates of a fleet what was published at one of them.
type Broadcast struct {
	client  *redis.Client
	key     string
	gate    string // this process
	deliver func(body []byte)
	logger  *slog.Logger
	count   int64     // messages at a time
	lost    bool      // the last ones were too large
	since   time.Time // until when all messages were heard

	once   sync.Once
	cancel context.CancelFunc
	ended  chan struct{}
}

// NewBroadcast returns the broadcasts of an application. It connects to nothing. Deliver is called with
// what other gates have sent, by one goroutine, in order. Messages have most bytes,
// as a rule; one of more than four times that is lost.
func NewBroadcast(engine, application string, most int, deliver func(body []byte), logger *slog.Logger) (*Broadcast, error) {
	opts, err := redisOptions(engine)
	if err != nil {
		return nil, err
	}
	opts.MaxRetries, opts.PoolSize, opts.ContextTimeoutEnabled, opts.DisableIdentity = -1, 4, true, true
	bound(opts, 4*most+maxAnswer)
	return &Broadcast{client: redis.NewClient(opts), count: broadcastCount, key: "sluice:publish:" + application, gate: newGate(), deliver: deliver, logger: logger, ended: make(chan struct{})}, nil
}

// Start begins to listen, unless it has begun. What was sent before does not count.
func (b *Broadcast) Start() {
	b.once.Do(func() {
		ctx, cancel := context.WithCancel(context.Background())
		b.cancel = cancel
		go func() {
			defer close(b.ended)
			b.listen(ctx)
		}()
	})
}

// Close ends it.
func (b *Broadcast) Close() {
	b.once.Do(func() { close(b.ended) })
	if b.cancel != nil {
		b.cancel()
	}
	<-b.ended
	_ = b.client.Close() // nothing is on its way any more
}

// Send sends a message to the other gates. An error means that they may not get it.
func (b *Broadcast) Send(ctx context.Context, body []byte) (err error) {
	defer catchNonsense(&err)
	ctx, cancel := context.WithTimeout(ctx, broadcastTimeout)
	defer cancel()
	return b.client.XAdd(ctx, &redis.XAddArgs{Stream: b.key, MaxLen: broadcastKept, Approx: true, Values: []any{fieldGate, b.gate, fieldBody, body}}).Err()
}

// listen delivers what comes until ctx ends.
func (b *Broadcast) listen(ctx context.Context) {
	at, away := "", false // the ID of the last message
	for ctx.Err() == nil {
		began := time.Now()
		heard, err := b.next(ctx, &at, away)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !away:
			b.logger.Warn("what is published at other gates does not reach this one", "error", err.Error(), "advice", "see whether the fleet's engine runs (fleet.engine)")
		case err == nil && away:
			b.logger.Info("what is published at other gates reaches this one again")
		}
		// An engine that has no message says so after broadcastWait, and not at once.
		if away = err != nil; away || heard == 0 && time.Since(began) < broadcastPause {
			pause(ctx, broadcastPause)
		}
	}
}

// next waits for messages after at, and delivers them. The first time, and when the engine was away, it
// finds out where the stream is. It returns how many messages there were.
func (b *Broadcast) next(ctx context.Context, at *string, away bool) (heard int, err error) {
	if *at == "" || away {
		last, err := b.last(ctx)
		switch {
		case err != nil:
			return 0, err
		case *at == "":
			*at, b.since = last, time.Now()
		case last != onlyNew && isBefore(last, *at): // the engine has forgotten it
			missed, err := b.after(ctx, time.Since(b.since))
			if err != nil {
				return 0, err
			}
			if *at = missed; isBefore(last, missed) {
				*at = last
			}
		}
	}
	streams, err := b.read(ctx, *at)
	if err == nil {
		b.since = time.Now()
	}
	switch {
	case errors.Is(err, errTooLarge) && b.count > 1: // together they are
		b.count = 1
		return 1, nil
	case errors.Is(err, errTooLarge):
		b.tellLost(err)
		*at = onlyNew
		return 0, nil
	case err != nil:
		return 0, err
	}
	b.count, b.lost = broadcastCount, false
	for _, stream := range streams {
		for _, m := range stream.Messages {
			*at = m.ID
			gate, _ := m.Values[fieldGate].(string)
			if body, ok := m.Values[fieldBody].(string); ok && gate != b.gate {
				b.deliver([]byte(body))
			}
		}
		heard += len(stream.Messages)
	}
	return heard, nil
}

// tellLost tells the log that messages are lost, once for all that follow each other.
func (b *Broadcast) tellLost(err error) {
	if !b.lost {
		b.logger.Warn("messages that were published at other gates are lost: they are larger than those of this one may be", "error", err.Error(),
			"advice", "let all gates of the fleet have the same hold.message")
	}
	b.lost = true
}

// read waits for messages after at. There may be none.
func (b *Broadcast) read(ctx context.Context, at string) (streams []redis.XStream, err error) {
	defer catchNonsense(&err)
	streams, err = b.client.XRead(ctx, &redis.XReadArgs{Streams: []string{b.key, at}, Count: b.count, Block: broadcastWait}).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return streams, err
}

// last returns the ID of the last message there is.
func (b *Broadcast) last(ctx context.Context) (_ string, err error) {
	defer catchNonsense(&err)
	ctx, cancel := context.WithTimeout(ctx, broadcastTimeout)
	defer cancel()
	messages, err := b.client.XRevRangeN(ctx, b.key, "+", "-", 1).Result()
	switch {
	case errors.Is(err, errTooLarge):
		return onlyNew, nil
	case err != nil || len(messages) == 0:
		return "0-0", err
	}
	return messages[0].ID, nil
}

// after returns the ID after which messages are that came in the last d, by the engine's clock: what it has
// saved may be older, and was heard then.
func (b *Broadcast) after(ctx context.Context, d time.Duration) (_ string, err error) {
	defer catchNonsense(&err)
	ctx, cancel := context.WithTimeout(ctx, broadcastTimeout)
	defer cancel()
	now, err := b.client.Time(ctx).Result()
	if err != nil {
		return "", err
	}
	return strconv.FormatInt(max(0, now.Add(-d).UnixMilli()), 10) + "-0", nil
}

// isBefore reports whether the ID of a message is that of an earlier one: milliseconds and a number.
func isBefore(a, b string) bool {
	part := func(id string) (ms, n uint64) {
		first, second, _ := strings.Cut(id, "-")
		ms, _ = strconv.ParseUint(first, 10, 64)
		n, _ = strconv.ParseUint(second, 10, 64)
		return ms, n
	}
	ms, n := part(a)
	ms2, n2 := part(b)
	return ms < ms2 || ms == ms2 && n < n2
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
