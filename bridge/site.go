package bridge

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/internal/app"
	"github.com/sluice-proxy/sluice/bridge/internal/classify"
)

// SiteHooks are the callbacks of a Handler. All are optional.
type SiteHooks struct {
	// FromWebServer says that all requests come from a web server in FastCGI or SCGI, by package
	// cgiserver. Their variables say which script is meant, so Root is not needed. Default: they
	// may come in HTTP, and the presets php and cgi need a Root.
	FromWebServer bool
	// Observe is called once per request, after its end, with what became of it.
	// Default: none.
	Observe func(*http.Request, *Outcome)
	// Identify completes who a request comes from, for a front in this process that knows
	// more: who has logged in, whom a proxy speaks for. If it sets Refused, that is the
	// answer. It is called for what a local redirect leads to as well, and in front of
	// bridge/front once more for a request that has waited in the gate for long. Default:
	// nobody knows more.
	Identify func(*http.Request, *cgi.Client)
	// Guesses are the passwords that clients guess, if Identify asks for some, which all gates of a fleet
	// count together: *basicauth.Auth has them. Default: each gate counts its own.
	Guesses Guesses
	// SameForAllPaths says that Identify does the same whatever the path. Default: it may refuse some, and is
	// called for each path that a request leads to: that of a rewrite, and of the script or the file that
	// answers, which is looked for.
	SameForAllPaths bool
	// Expand gives each value of Env the form it has for a request. Default: as it is
	// written.
	Expand func(r *http.Request, value string) string
	// RootOf gives the root for a request, in place of Root, which is then only shown. A path
	// that is not absolute, or climbs, is answered with 404, and so is one where no directory
	// is; that a name which a client has chosen is no ".git" is for RootOf to see to. Default:
	// it is Root.
	RootOf func(*http.Request) (string, error)
	// ErrorHandler may answer a request that has failed with err, and before anything was sent
	// for it, in place of Sluice's plain page. The header of w holds what goes with the error:
	// Proxy-Status, Retry-After, Location. If it returns false, Sluice answers. Default: Sluice
	// answers.
	ErrorHandler func(w http.ResponseWriter, r *http.Request, status int, err error) (answered bool)
	// ServeFile answers r, which a local redirect of the application has led to, if it asks for
	// a static file that the front sends itself. It returns the status and the number of bytes
	// that the client was sent, or status 0. With an authorizer, it is called for each GET and
	// HEAD that was let pass, because StaticFile and File find nothing before. Default: the client
	// is redirected to static files; behind an authorizer there are none.
	ServeFile func(w http.ResponseWriter, r *http.Request) (status int, bytes int64)
	// ActsOnSendfile reports whether w acts on X-Sendfile and X-Accel-Redirect itself, as a
	// trusted proxy may. Then it is given these fields where Sluice does not send the file.
	// Default: it does not.
	ActsOnSendfile func(w http.ResponseWriter) bool
	// ClientConn returns the connection that r has come on, if w writes to it in HTTP/1.1 and nobody
	// else does; nil if not. An http.Server tells it in its ConnContext. Answers that the socket has
	// room for are then written to it as they come, without a buffer and a goroutine in between.
	// Default: it is not known.
	ClientConn func(w http.ResponseWriter, r *http.Request) net.Conn
}

// Guesses are the passwords that clients guess at a site.
type Guesses = app.Guesses

// site is the complete configuration of a Handler.
type site struct {
	SiteConfig
	SiteHooks
	Logger    *slog.Logger
	preset    string
	keySource classify.KeySource // Client.Key, parsed
	guard     cgi.Guard          // of Authorization
	granted   []string           // fields that the authorizer may give in HTTP
}

// newSite completes and checks the configuration of a site. app is complete.
func newSite(cfg SiteConfig, hooks SiteHooks, app *ApplicationConfig, logger *slog.Logger) (*site, error) {
	s := &site{SiteConfig: cfg, SiteHooks: hooks, Logger: logger, preset: string(app.Preset)}
	if err := s.Complete(); err != nil {
		return nil, err
	}
	if err := checkSite(&s.SiteConfig, app); err != nil {
		return nil, err
	}
	var err error
	if s.guard, err = guard(&s.SiteConfig, app); err != nil {
		return nil, err
	}
	s.granted = grantedFields(&s.SiteConfig, app)
	s.keySource, err = completeClient(&s.Client)
	return s, err
}

func (s *site) cgi() cgi.Config {
	return cgi.Config{
		Preset: s.preset, Mount: s.Mount,
		Root: s.Root, RootOf: s.RootOf, KeepRootSymlink: s.ResolveRootSymlink == config.Off, AppRoot: s.AppRoot, Unchecked: s.CheckFiles == config.Off,
		Virtual: s.Virtual, Follow: s.Follow, Index: s.Index, Fallback: s.Fallback, Scripts: s.Scripts,
		Redirect: s.Redirect, Rewrite: s.Rewrite,
		Static: string(s.Static), StaticTypes: s.StaticTypes, StaticDirs: s.StaticDirs, Hide: s.Hide,
		StaticMissing: string(s.StaticMissing), StaticCache: s.StaticCache, StaticPrecompressed: s.StaticPrecompressed,
		Env: s.Env, Expand: s.Expand, TrustedProxies: s.TrustedProxies, UserHeader: s.UserHeader, PassUser: s.PassUser,
		GrantedFields: s.granted, UnderscoreHeaders: s.UnderscoreHeaders, AllReceived: s.FromWebServer,
	}
}

// checkSite checks a site in front of an application. Both are complete.
func checkSite(s *SiteConfig, a *ApplicationConfig) error {
	switch {
	case a.Protocol == config.HTTP && len(s.Env) > 0:
		return errors.New("env: means nothing to an application that speaks http: set the environment of the application itself (spawn.env if it is started)")
	case a.Lanes == config.Off && len(s.LongPoll) > 0:
		return app.MeansNothing("long_poll")
	case a.Lanes == config.Off && s.PollAnswer != config.PollAnswer{}:
		return app.MeansNothing("queue.poll_answer.status")
	}
	for _, p := range s.LongPoll {
		if !strings.HasPrefix(p, "/") && !strings.HasPrefix(p, "*") || strings.Contains(p, "?") {
			return fmt.Errorf("long_poll: %q: want a path beginning with \"/\", without a query; \"*\" stands for any run of characters", p)
		}
		if err := canPoll(s, p); err != nil {
			return err
		}
	}
	return nil
}

// escaped is a byte as URLs have it.
var escaped = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// canPoll returns why no path that is answered can be as a pattern of LongPoll says.
func canPoll(s *SiteConfig, pattern string) error {
	if escaped.MatchString(pattern) {
		return fmt.Errorf("long_poll: %q: can match nothing, paths are compared when they are decoded: write \"/a b\" for \"/a%%20b\"", pattern)
	}
	fixed, _, star := strings.Cut(pattern, "*")
	if star { // up to the last whole segment
		fixed = fixed[:strings.LastIndexByte(fixed, '/')+1]
	}
	paths := cgi.Config{Mount: s.Mount, Hide: s.Hide}
	if fixed != "" && paths.Hides(strings.TrimPrefix(fixed, strings.TrimSuffix(s.Mount, "/"))) {
		return fmt.Errorf("long_poll: %q: can match nothing, hide has it out of reach", pattern)
	}
	return nil
}

// completeClient fills in the defaults of f and checks it. It returns the Key, parsed.
func completeClient(f *config.Client) (source classify.KeySource, err error) {
	if source, err = classify.ParseKeySource(f.Key); err != nil {
		return source, fmt.Errorf("client.key: %w", err)
	}
	switch {
	case f.MaxAddresses == 0 && f.Excess != "":
		return source, errors.New("client.excess: means nothing without client.max_addresses, which is not set")
	case f.MaxAddresses == 0 && f.Per != 0:
		return source, errors.New("client.per: means nothing without client.max_addresses, which is not set")
	case f.MaxAddresses == 0:
		return source, nil
	case !source.NamesAccounts():
		return source, fmt.Errorf("client.max_addresses: client.key is %q, which tells no accounts apart: name what an account is known by, such as \"cookie NAME\", \"header NAME\" or \"user\"", cmp.Or(f.Key, "auto"))
	}
	f.Per = cmp.Or(f.Per, config.Duration(10*time.Minute))
	f.Excess = cmp.Or(f.Excess, config.Refuse)
	return source, nil
}
