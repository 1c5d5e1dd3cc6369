package fleet

import (
	"context"
	_ "embed" // lease.lua, clients.lua
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed lease.lua
var leaseScript string

//go:embed clients.lua
var clientScript string

var renewal = redis.NewScript(clientScript + leaseScript)

// termMargin is how much longer the ledger counts a lease than its gate does. The ledger's time may
// go on by two seconds at once, when the engine's clock is set.
const termMargin = 3 * time.Second

// Redis is a Ledger in a server of Redis or Valkey, from version 5 on. Applications with different
// names do not know of each other.
type Redis struct {
	client       *redis.Client
	key, clients string
}

// maxAnswer is the largest answer that is read. A renewal has a tenth of it.
const maxAnswer = 64 << 10

// CheckEngine checks the address of a server: redis://[user:password@]host:port/database, rediss://
// for TLS, or unix:///path. The error does not have it, as it may have a password.
func CheckEngine(url string) error {
	_, err := redisOptions(url)
	return err
}

var errEngine = errors.New("want redis://[user:password@]host:port/database, rediss:// for TLS, or unix:///path")

func redisOptions(url string) (*redis.Options, error) {
	opts, err := redis.ParseURL(url)
	if err != nil {
		return nil, errEngine
	}
	return opts, nil
}

// NewRedis returns the ledger of an application. It connects to nothing; Close closes it.
func NewRedis(url, application string) (*Redis, error) {
	opts, err := redisOptions(url)
	if err != nil {
		return nil, err
	}
	// A renewal that fails is not sent again: the next one is.
	opts.MaxRetries, opts.PoolSize, opts.ContextTimeoutEnabled = -1, 1, true
	opts.DisableIdentity = true
	bound(opts, maxAnswer)
	return &Redis{redis.NewClient(opts), "sluice:workers:" + application, "sluice:clients:" + application}, nil
}

// Close closes the connection.
func (r *Redis) Close() error { return r.client.Close() }

// Renew implements Ledger.
func (r *Redis) Renew(ctx context.Context, t Terms, p Report) (_ Grant, err error) {
	defer catchNonsense(&err)
	ms := func(d time.Duration) int64 { return int64(d / time.Millisecond) }
	said := append([]any{
		p.Gate, p.Name, p.Seq, t.Workers, t.Gates, ms(t.Term + termMargin), ms(t.Settle), ms(t.Forget),
		p.Holds, p.Short, p.Wanted, string(p.Mode),
	}, p.Clients.arguments()...)
	answer, err := renewal.Run(ctx, r.client, []string{r.key, r.clients}, said...).Slice()
	switch {
	case err == nil:
		return parseGrant(p.Clients, answer)
	case strings.Contains(err.Error(), unauthenticated):
		err = fmt.Errorf("it wants a password, and fleet.engine has none (redis://user:password@host:port): %w", err)
	}
	return Grant{}, err
}

// unauthenticated is in what Redis says of a command with more than ten arguments, before it looks whether
// a password is wanted.
const unauthenticated = "unauthenticated multibulk"

var errAnswer = errors.New("the fleet's engine has given an answer that makes no sense (is fleet.engine a Redis or Valkey?)")

// catchNonsense is deferred by who asks an engine. Of lengths that no answer has, the client makes a panic,
// after it has closed the connection: here they are errors, as other answers that make no sense are.
func catchNonsense(err *error) {
	if cause := recover(); cause != nil {
		*err = fmt.Errorf("%w: %v", errAnswer, cause)
	}
}

// grantLength is how much the script returns, and grantNumbers which of it are numbers. The rest is text.
const grantLength = 11

var grantNumbers = [grantLength]bool{1: true, 2: true, 4: true, 5: true, 6: true}

func parseGrant(said *ClientReport, answer []any) (g Grant, err error) {
	if len(answer) != grantLength {
		return g, errAnswer
	}
	var n [grantLength]int
	var text [grantLength]string
	for i, v := range answer {
		if s, ok := v.(string); ok && !grantNumbers[i] {
			text[i] = s
			continue
		}
		number, ok := v.(int64)
		if !ok || !grantNumbers[i] || number < 0 {
			return g, errAnswer
		}
		n[i] = int(number)
	}
	if !slices.Contains(statuses, Status(text[0])) {
		return g, errAnswer
	}
	g = Grant{Status: Status(text[0]), Granted: n[1], Keep: n[2], Gates: n[4], Others: n[5], Differ: n[6] != 0, Forgets: text[3] == "-"}
	g.Clients, err = said.parse(text[7], text[8], text[9], text[10])
	return g, err
}
