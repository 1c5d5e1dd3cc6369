package bridge

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/internal/classify"
)

// completeApplication fills in all defaults of an application and checks it. An error begins
// with the key.
func completeApplication(a *ApplicationConfig) error {
	if err := a.Complete(); err != nil {
		return err
	}
	if a.Lanes == Off && a.Reserve != nil {
		return meansNothing("reserve")
	}
	if a.Lanes == Off && a.ClientLimit != 0 {
		return meansNothing("client.limit")
	}
	return completeGate(a)
}

// meansNothing returns the error for a setting that has no effect while lanes is off.
func meansNothing(key string) error {
	return fmt.Errorf("%s: means nothing in a plain queue, and lanes is off", key)
}

// checkSite checks a site in front of an application. Both are complete.
func checkSite(s *SiteConfig, a *ApplicationConfig) error {
	switch {
	case a.Lanes == Off && len(s.LongPoll) > 0:
		return meansNothing("long_poll")
	case a.Lanes == Off && s.PollAnswer != PollAnswer{}:
		return meansNothing("queue.poll_answer.status")
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

// completeGate fills in the defaults that depend on the number of workers of all instances,
// and checks the settings that must fit it.
func completeGate(app *ApplicationConfig) error {
	workers := app.AllWorkers()
	d, a := admission.Defaults(workers), &app.Admission
	app.ClientLimit, a.Unknown = cmp.Or(app.ClientLimit, d.ClientLimit), cmp.Or(a.Unknown, d.Unknown)
	if app.Reserve == nil {
		app.Reserve = &d.Reserve
	}
	most := workers - *app.Reserve
	if a.LongMin == nil {
		a.LongMin = new(min(d.LongMin, most))
	}
	switch reserve := *app.Reserve; {
	case reserve != 0 && workers == 1:
		return fmt.Errorf("reserve: is %d, want 0: there is one worker", reserve)
	case reserve < 0 || reserve >= workers:
		return fmt.Errorf("reserve: is %d, want 0 to %d: of %d workers one at least must be left for other requests", reserve, workers-1, workers)
	case *a.LongMin < 0 || *a.LongMin > most:
		return fmt.Errorf("admission.long_min: is %d, want 0 to %d: the reserve is %d of %d workers", *a.LongMin, most, reserve, workers)
	case a.Unknown > workers:
		return fmt.Errorf("admission.unknown: is %d, and there are %d workers", a.Unknown, workers)
	case a.SpentLimit > app.ClientLimit:
		return fmt.Errorf("admission.spent_limit: is %d, want at most client.limit, which is %d", a.SpentLimit, app.ClientLimit)
	}
	a.SpentLimit = cmp.Or(a.SpentLimit, min(d.SpentLimit, app.ClientLimit))
	a.ClientRate, a.ClientBurst = cmp.Or(a.ClientRate, d.ClientRate), cmp.Or(a.ClientBurst, d.ClientBurst)
	return nil
}

// completeClient fills in the defaults of f and checks it. It returns the Key, parsed.
func completeClient(f *ClientConfig) (source classify.KeySource, err error) {
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
	f.Per = cmp.Or(f.Per, Duration(10*time.Minute))
	f.Excess = cmp.Or(f.Excess, Refuse)
	return source, nil
}

// gate is what the gate is told. The instances' workers are one lot for it; which
// instance a request goes to is the pool's choice.
func gate(app *ApplicationConfig) admission.Config {
	g := admission.Defaults(app.AllWorkers())
	g.Lanes = app.Lanes == On
	g.Size, g.LongSize = app.Queue.Size, app.Queue.LongSize
	g.Timeout, g.LongTimeout = time.Duration(app.Queue.Timeout), time.Duration(app.Queue.LongTimeout)
	g.Reserve = *app.Reserve
	g.ClientLimit = min(app.ClientLimit, g.Workers)
	a := &app.Admission
	g.LongAfter, g.StallAfter, g.WaitTarget = time.Duration(a.LongAfter), time.Duration(a.StallAfter), time.Duration(a.WaitTarget)
	g.Unknown, g.LongMin = a.Unknown, *a.LongMin
	g.ClientRate, g.ClientBurst, g.SpentLimit = a.ClientRate, a.ClientBurst, min(a.SpentLimit, g.ClientLimit)
	return g
}
