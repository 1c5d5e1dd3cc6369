package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/tomlfile"
)

// unknownApplication is a name that no application has.
type unknownApplication struct {
	name  string
	known []string
}

func (e *unknownApplication) Error() string {
	return fmt.Sprintf("there is no application %q: want one of %s", e.name, strings.Join(e.known, ", "))
}

// restart replaces the processes of the application with that name, or of all that Sluice has
// started. It returns how many applications were restarted. With one application that was not
// started by Sluice, the error is bridge.ErrNotSpawned.
func (s *server) restart(ctx context.Context, name string) (n int, err error) {
	g := s.front.current.Load()
	unknown := &unknownApplication{name: name}
	var failed []error
	for _, a := range g.applications() {
		unknown.known = append(unknown.known, a.name)
		if name != "" && a.name != name {
			continue
		}
		unknown.name = ""
		switch err := a.Application.Application().Restart(ctx); {
		case err == nil:
			n++
			slog.New(s.logOf(g, a.name)).Info("the application was restarted")
		case !errors.Is(err, bridge.ErrNotSpawned) || name != "" || len(g.Applications) == 1: // otherwise Restart has logged the reason
			failed = append(failed, err)
		}
	}
	switch {
	case name != "" && unknown.name != "":
		return 0, unknown
	case len(failed) == 0 && n == 0:
		return 0, bridge.ErrNotSpawned
	}
	return n, errors.Join(failed...)
}

// changeHandler serves a POST that changes what runs, and answers when that is done or stops has
// ended. It refuses requests of web pages of other origins; the guard of the status listener refuses
// unknown host names.
func changeHandler(stops context.Context, done string, change func(context.Context, *http.Request) error) http.Handler {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(stops, cancel)()
		rc := http.NewResponseController(w)
		bound := func(t time.Time) { _, _ = rc.SetReadDeadline(t), rc.SetWriteDeadline(t) } // tests use a recorder without deadlines
		bound(time.Time{})                                                                  // it may take longer than statusTimeout
		err := change(ctx, r)
		bound(time.Now().Add(statusTimeout))
		if err != nil {
			http.Error(w, err.Error(), statusOf(err))
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, done+"\n") // the client may have left
	})
	return http.NewCrossOriginProtection().Handler(h)
}

// statusOf is the status for what has kept a change from being made.
func statusOf(err error) int {
	if _, ok := errors.AsType[*unknownApplication](err); ok || errors.Is(err, bridge.ErrNotSpawned) {
		return http.StatusNotFound
	}
	if _, ok := errors.AsType[tomlfile.Problems](err); ok {
		return http.StatusUnprocessableEntity
	}
	if errors.Is(err, errNoFile) || errors.Is(err, errEnding) || errors.Is(err, errUpgraded) || errors.Is(err, errYoung) {
		return http.StatusConflict
	}
	return http.StatusInternalServerError
}
