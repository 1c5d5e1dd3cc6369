package exchange

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/hold"
	"github.com/sluice-proxy/sluice/bridge/internal/addresslimit"
)

// Outcome.Refused where it is not the gate that refused.
const (
	RefusedAddresses   Refusal = "addresses"
	RefusedQuarantined Refusal = "quarantined"
	RefusedHolds       Refusal = "holds"  // it was to be held, beyond a limit
	RefusedLogins      Refusal = "logins" // the front could not look who it is, for want of room, or would not, after too many wrong passwords
	// RefusedDrain is for requests that came after the site was closed, and for those whose
	// contexts were canceled with ErrShutdown before they were answered.
	RefusedDrain Refusal = "drain"
)

// noteRefusal records why a request was refused, if err is a refusal.
func (x *Exchange) noteRefusal(err error) bool {
	var (
		refusal    *admission.Refusal
		shared     *addresslimit.Error
		down       *downError
		quarantine *quarantineError
		request    *cgi.RequestError
		holds      *hold.LimitError
	)
	switch {
	case errors.As(err, &holds):
		x.Out.Refused = RefusedHolds
	case errors.As(err, &shared):
		x.Out.Refused = RefusedAddresses
		return true // the log was told whose it is
	case errors.As(err, &request) && (request.Status == http.StatusServiceUnavailable || request.Status == http.StatusTooManyRequests):
		x.Out.Refused = RefusedLogins
	case errors.As(err, &refusal):
		x.Out.Lane, x.Out.Refused = refusal.Lane.String(), Refusal(refusal.Reason.String())
	case errors.As(err, &down):
		x.Out.Refused = Refusal(admission.Down.String())
	case errors.As(err, &quarantine):
		x.Out.Refused = RefusedQuarantined
	default:
		return false
	}
	x.app.NoteRefused(string(x.Out.Refused), x.Who.Addr)
	return true
}

// retryAfter is the Retry-After field of an answer to err, in seconds, 0 for none.
func retryAfter(err error, status int) int {
	var (
		refusal    *admission.Refusal
		shared     *addresslimit.Error
		down       *downError
		quarantine *quarantineError
		request    *cgi.RequestError
	)
	switch {
	case errors.As(err, &request) && request.Retry > 0:
		return wholeSeconds(request.Retry)
	case errors.As(err, &refusal):
		return wholeSeconds(refusal.RetryAfter)
	case errors.As(err, &down):
		return wholeSeconds(scattered(down.after))
	case errors.As(err, &quarantine):
		return wholeSeconds(scattered(quarantine.after))
	case errors.As(err, &shared):
		return wholeSeconds(shared.After)
	case status == http.StatusServiceUnavailable:
		return 1 + rand.IntN(4) // spread out, so that those refused together do not come back together
	}
	return 0
}

func wholeSeconds(d time.Duration) int {
	return int((d + time.Second - 1) / time.Second)
}

// ownPage is an answer of our own.
type ownPage struct {
	status      int
	contentType string // "": there is no body
	body        string
	own         bool // it stands for the application's
}

// page is what the client is answered: text or JSON, as it likes.
func (x *Exchange) page(f failure, retry int) ownPage {
	if p := &x.site.Config.PollAnswer; p.Status != 0 && x.refusedPoll() {
		return ownPage{p.Status, p.ContentType, p.Body, true}
	}
	if !x.client.PrefersJSON() {
		return ownPage{
			status: f.status, contentType: "text/plain; charset=utf-8",
			body: fmt.Sprintf("%d %s\n\n%s\n", f.status, http.StatusText(f.status), f.text),
		}
	}
	text, err := json.Marshal(struct {
		Status     int       `json:"status"`
		Error      ErrorType `json:"error,omitempty"`
		Reason     Refusal   `json:"reason,omitempty"`
		RetryAfter int       `json:"retry_after,omitempty"`
	}{f.status, f.kind, x.Out.Refused, retry})
	if err != nil {
		panic(err) // numbers and words
	}
	return ownPage{status: f.status, contentType: "application/json", body: string(text) + "\n"}
}

// refusedPoll reports whether a refused request is a long-poll, as far as is known.
func (x *Exchange) refusedPoll() bool {
	switch x.Out.Refused {
	case "", RefusedAddresses, RefusedLogins, RefusedDrain, RefusedHolds:
		return false
	}
	long := x.Ask.Long
	var refusal *admission.Refusal
	if errors.As(x.Out.Err, &refusal) {
		long = refusal.Lane == admission.Long
	}
	return long && (len(x.site.Config.LongPoll) == 0 || x.client.IsLongPoll())
}
