package basicauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/sluice-proxy/sluice/bridge/cgi"
)

const (
	maxName     = 255         // bytes
	maxPassword = 1024        // bytes; longer passwords are refused
	checkEvery  = time.Second // how often the file is checked for changes
)

// Config configures an Auth.
type Config struct {
	// File is the htpasswd file.
	File string
	// Paths lists the URL paths that require log-in, such as "/login", with everything below them.
	// They are whole paths or relative to Mount, and also apply below a script:
	// "/index.php/login". Default: all paths.
	Paths []string
	// Mount is the mount of the bridge.
	Mount string
	// Realm is the text that browsers show when they ask for the password. Default: "Sluice".
	Realm string
	// Logger logs failed log-ins, and a file that cannot be read. Default: none.
	Logger *slog.Logger
}

// Auth checks names and passwords. It is safe for concurrent use.
type Auth struct {
	file      string
	label     string // realm, mount and paths
	allPaths  bool
	paths     cgi.Prefixes
	challenge string
	log       *slog.Logger
	failures  *rate.Limiter // of log lines about failed log-ins

	users    atomic.Pointer[table]
	verifier *verifier
	tries    *tries

	reload    sync.Mutex
	checkedAt time.Time
	info      os.FileInfo // of the file as it was read last, even with an error; nil if it could not be opened
}

// New reads the file. Errors name the key that they are about: file, path or realm.
func New(cfg Config) (*Auth, error) {
	if cfg.Realm == "" {
		cfg.Realm = "Sluice"
	}
	if strings.ContainsFunc(cfg.Realm, func(c rune) bool { return c < ' ' || c >= 0x7f }) {
		return nil, fmt.Errorf("auth: realm %q: want printable ASCII characters", cfg.Realm)
	}
	paths, err := cgi.NewPrefixes("path", cfg.Mount, cfg.Paths)
	if err != nil {
		return nil, err
	}
	users, info, err := readFile(cfg.File)
	if err != nil {
		return nil, fmt.Errorf("auth: file: %w", err)
	}
	a := &Auth{
		file: cfg.File, label: strings.Join(append([]string{cfg.Realm, cfg.Mount}, cfg.Paths...), "\x00"), allPaths: len(cfg.Paths) == 0, paths: paths, log: cfg.Logger,
		challenge: `Basic realm="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(cfg.Realm) + `", charset="UTF-8"`,
		failures:  rate.NewLimiter(5, 50),
		verifier:  newVerifier(max(1, runtime.GOMAXPROCS(0)/2)),
		tries:     newTries(),
		info:      info, checkedAt: time.Now(),
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	a.users.Store(users)
	return a, nil
}

// Identify sets the user of c if r's path requires log-in, or refuses r. A client whose user a trusted
// proxy has named needs no password.
func (a *Auth) Identify(r *http.Request, c *cgi.Client) {
	if c.Refused != nil || c.User != "" {
		return
	}
	if !a.allPaths {
		path, err := cgi.CleanPath(r)
		if err != nil || !a.paths.Protects(path) {
			return // a malformed path is refused anyway
		}
	}
	c.Verified = true // the password is not passed to the application
	lines := r.Header["Authorization"]
	if len(lines) == 0 {
		a.refuse(c, "there is no Authorization field")
		return
	}
	name, password, ok := r.BasicAuth()
	if !ok || len(lines) > 1 || name == "" || len(name) > maxName || len(password) > maxPassword {
		a.refuse(c, "the Authorization field holds no name and password")
		return
	}
	right, err := a.verify(r.Context(), name, password, clientKey(c.Addr))
	tooMany, guesses := errors.AsType[*triesError](err)
	switch {
	case guesses:
		if a.failures.Allow() {
			a.log.Warn("log-in is refused for a while: too many wrong passwords", "client", c.Addr, "advice", "if the address is a proxy's, name it as a trusted one: its clients then count one by one")
		}
		c.Refused = &cgi.RequestError{Status: http.StatusTooManyRequests, Reason: err.Error(), Retry: tooMany.wait}
	case errors.Is(err, errBusy):
		c.Refused = &cgi.RequestError{Status: http.StatusServiceUnavailable, Reason: err.Error()}
	case err != nil: // the client has left
		c.Refused = &cgi.RequestError{Status: http.StatusServiceUnavailable, Reason: "the password was not verified: " + err.Error()}
	case !right:
		a.failed(name, c.Addr)
		a.refuse(c, "the name or the password is wrong")
	default:
		c.User, c.AuthType = name, "Basic"
	}
}

// Label tells passwords apart that all gates of a fleet count together; see bridge.Guesses.
func (a *Auth) Label() string { return a.label }

// Guessed returns the addresses that have sent wrong passwords since the last call, n of them at most, and
// for how long these count. It is for bridge.Guesses.
func (a *Auth) Guessed(n int) map[string]time.Duration { return a.tries.told(n) }

// Owes has an address wait for the wrong passwords that it has sent to all gates, which are forgotten
// after d. It is for bridge.Guesses.
func (a *Auth) Owes(address string, d time.Duration) { a.tries.owes(address, d, time.Now()) }

func (a *Auth) refuse(c *cgi.Client, reason string) {
	c.Refused = &cgi.RequestError{Status: http.StatusUnauthorized, Reason: reason, Challenge: a.challenge}
}

// verify reports whether the password is the user's.
func (a *Auth) verify(ctx context.Context, name, password, address string) (right bool, err error) {
	t := a.current()
	d := t.cache.digest(name, password)
	if right, found := t.cache.get(d); found {
		return right, nil
	}
	if wait := a.tries.begin(address, time.Now()); wait > 0 {
		return false, &triesError{wait}
	}
	right, err = a.verifier.do(ctx, d, address, func() bool {
		encoded, exists := t.users[name]
		if !exists {
			encoded = t.decoy // takes the same time
		}
		right := encoded.MatchesPassword(password) && exists
		t.cache.put(d, right)
		return right
	})
	if right || err != nil {
		a.tries.takeBack(address, time.Now())
	}
	return right, err
}

// current returns the users. It reads the file again if it has changed.
func (a *Auth) current() *table {
	if !a.reload.TryLock() {
		return a.users.Load() // another request checks the file
	}
	defer a.reload.Unlock()
	now := time.Now()
	if now.Sub(a.checkedAt) < checkEvery {
		return a.users.Load()
	}
	a.checkedAt = now
	info, err := os.Stat(a.file)
	if err == nil && a.info != nil && os.SameFile(info, a.info) && info.ModTime().Equal(a.info.ModTime()) && info.Size() == a.info.Size() {
		return a.users.Load()
	}
	if err != nil && a.info == nil {
		return a.users.Load() // the error has been logged
	}
	users, info, err := readFile(a.file)
	a.info = info
	if err != nil {
		a.log.Error("the password file cannot be read; the users that were read before stay", "error", err.Error(), "advice", "make the file readable again: the user that Sluice runs as needs it")
		return a.users.Load()
	}
	a.users.Store(users)
	a.log.Info("the password file has changed and was read again", "file", a.file, "users", len(users.users))
	return users
}

// failed logs a failed log-in. It does not log the name of an unknown user, which may be a mistyped
// password.
func (a *Auth) failed(name, client string) {
	if !a.failures.Allow() {
		return
	}
	if a.users.Load().users[name] == nil {
		a.log.Warn("log-in failed: no such user", "client", client)
		return
	}
	a.log.Warn("log-in failed: wrong password", "client", client, "user", name)
}

// clientKey returns an IPv4 address, or the /64 network of an IPv6 address: one household or machine may
// have all addresses of such a network.
func clientKey(addr string) string {
	ip, err := netip.ParseAddr(addr)
	if err != nil || !ip.Is6() {
		return addr
	}
	net, err := ip.Prefix(64)
	if err != nil {
		return addr
	}
	return net.String()
}
