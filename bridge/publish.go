package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/sluice-proxy/sluice/bridge/hold"
	"github.com/sluice-proxy/sluice/bridge/hold/grip"
	"github.com/sluice-proxy/sluice/bridge/internal/app"
)

// PublishHandler serves what publishers POST for held clients: {"items": [...]}, as Pushpin has it. It
// is published for those of the applications whose key the publisher knows. It refuses requests of web
// pages of other origins; where it is served must refuse unknown host names.
func PublishHandler(applications func() []*Application) http.Handler {
	return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, "want POST", http.StatusMethodNotAllowed)
			return
		}
		to, err := publishable(applications(), r.Header.Get("Authorization"))
		if err != nil {
			refusePublication(w, err)
			return
		}
		most := 0
		for _, h := range to {
			most = max(most, h.Registry.Limits().Message)
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(app.MostPublished(most))))
		if err != nil {
			refusePublication(w, err)
			return
		}
		if err := publish(r.Context(), to, body); err != nil {
			refusePublication(w, err)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "Published\n") // the client may have left
	}))
}

// publish publishes the items in a body for all applications. If one refuses them, none has them.
func publish(ctx context.Context, to []*app.Holds, body []byte) error {
	var admitted []func(context.Context) error
	for _, h := range to {
		one, err := h.Admit(body)
		if err != nil {
			return err
		}
		admitted = append(admitted, one)
	}
	var failed []error
	for _, one := range admitted {
		if err := one(ctx); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// errNoHolds says that there is nobody to publish for.
var errNoHolds = errors.New("no application has clients held: see hold.key_file")

// publishable returns the applications that somebody may publish for.
func publishable(all []*Application, authorization string) (to []*app.Holds, err error) {
	err = errNoHolds
	for _, a := range all {
		h := a.app.Holds
		if h == nil {
			continue
		}
		if e := h.Permits(authorization); e != nil {
			err = e
			continue
		}
		to = append(to, h)
	}
	if len(to) > 0 {
		err = nil
	}
	return to, err
}

func refusePublication(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	_, alone := errors.AsType[*app.FleetError](err)
	switch {
	case errors.Is(err, errNoHolds):
		status = http.StatusNotFound
	case errors.Is(err, grip.ErrToken):
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", "Bearer")
	case errors.Is(err, app.ErrPublishRate):
		status = http.StatusTooManyRequests
		w.Header().Set("Retry-After", "1")
	case tooLarge:
		status = http.StatusRequestEntityTooLarge
	case alone:
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	http.Error(w, fmt.Sprintf("not published: %v", err), status)
}

// HoldSnapshot is the state of held clients, and what has become of them.
type HoldSnapshot struct {
	Clients    int `json:"clients"`    // held now
	Max        int `json:"max"`        // as many may be
	Channels   int `json:"channels"`   // on which somebody waits
	Remembered int `json:"remembered"` // on which nobody does, and whose last id is known
	Recovering int `json:"recovering"` // clients for which the application is asked again
	Waiting    int `json:"waiting"`    // clients that wait for their turn to be asked for again

	Published  uint64 `json:"published"`  // items
	Duplicates uint64 `json:"duplicates"` // items that were published before
	Late       uint64 `json:"late"`       // items whose predecessor did not come in time
	Delivered  uint64 `json:"delivered"`  // messages to clients
	Refused    uint64 `json:"refused"`    // clients that were to be held, beyond a limit
	Unfit      uint64 `json:"unfit"`      // messages without the variables that they are to have, for one client each
	Denied     uint64 `json:"denied"`     // attempts to publish without the key

	// Ended is how often clients have ceased to be held, by why: "answered", "closed", "expired",
	// "recovered" (the application was asked again), "missed", "slow", "drained" or "left".
	Ended map[string]uint64 `json:"ended"`

	Gone GoneSnapshot `json:"gone"`
}

// GoneSnapshot is about clients that were held and are gone, where the application has asked to be told:
// Grip-Link with rel=gone.
type GoneSnapshot struct {
	Told    uint64 `json:"told"`    // times the application has taken it
	Failed  uint64 `json:"failed"`  // it could not be reached, or has answered with 4xx or 5xx
	Dropped uint64 `json:"dropped"` // it was not told: too many have left at once, or the site has closed
	Active  int    `json:"active"`  // requests that are under way
	Waiting int    `json:"waiting"` // and that wait for them
}

func holdSnapshot(h *app.Holds) *HoldSnapshot {
	if h == nil {
		return nil
	}
	r, gone := h.Registry.Snapshot(), h.Notices.Counts()
	s := &HoldSnapshot{
		Clients: r.Holds, Max: h.Registry.Limits().Holds, Channels: r.Channels, Remembered: r.Remembered,
		Recovering: r.Recovering, Waiting: r.Waiting,
		Published: r.Published, Duplicates: r.Duplicates, Late: r.Late, Delivered: r.Delivered, Refused: r.Refused, Unfit: r.Unfit,
		Denied: h.Denied(), Ended: make(map[string]uint64), Gone: GoneSnapshot(gone),
	}
	for _, e := range hold.Ends() {
		s.Ended[e.String()] = r.Ended[e]
	}
	return s
}
