package exchange

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// Decision is what has become of the question to an authorizer.
type Decision string

const (
	Granted Decision = "granted" // the application is asked next
	Denied  Decision = "denied"  // the client is sent the authorizer's answer
	Failed  Decision = "failed"  // there was no answer that could be used: the request is refused
)

// Authorizer is an application that is asked whether a request may pass. An exchange asks it as it
// asks the application: it waits for one of its workers, for a connection, and for the answer, and
// may ask once more. It has a gate and a pool of its own, so that a request which is not allowed
// takes no worker of the application.
type Authorizer interface {
	Application
	// Target is the path and query that an authorizer is asked for in HTTP, "" for those of the
	// request itself.
	Target() string
	// Consents are what it has said that holds for some time.
	Consents() *Consents
	// Count counts a decision.
	Count(Decision)
}

// authorizerError is what was wrong with asking the authorizer.
type authorizerError struct{ err error }

func (e *authorizerError) Error() string { return "authorizer: " + e.err.Error() }
func (e *authorizerError) Unwrap() error { return e.err }

// Asking reports whether what the exchange waits for is the authorizer's, and not the application's.
func (x *Exchange) Asking() bool { return x.asking }

// Patience is how long a request may wait for a worker and a connection of what it waits for.
func (x *Exchange) Patience() time.Duration { return x.app.Patience() }

// guarded reports whether the authorizer is to be asked about the present target.
func (x *Exchange) guarded() bool { return x.site.Authorizer != nil && x.client.Guarded() }

// authorize asks the authorizer. The client's body is not read before it has answered.
func (x *Exchange) authorize() (w Wait) {
	x.app = x.site.Authorizer
	if err := x.describeQuestion(); err != nil {
		return x.fail(err)
	}
	x.asking, x.askedAt = true, time.Now()
	x.appEnd, x.end = x.end, time.Time{}
	x.Ask.Long, x.Ask.Peer = false, nil // which is said of the application alone
	if x.recall() {
		return x.passed()
	}
	return x.enter()
}

// describeQuestion is describe for the authorizer.
func (x *Exchange) describeQuestion() (err error) {
	x.Request.Authorizer = true
	x.sign(false)
	if x.inHTTP() {
		err = x.client.AuthorizerHTTP(&x.Request.HTTP, &x.Who, x.site.Authorizer.Target())
	} else {
		x.Request.Vars, err = x.client.AuthorizerVars(x.Request.Vars[:0], &x.Who)
	}
	if err != nil {
		return err
	}
	return x.checkSize()
}

// inHTTP reports whether the authorizer is asked in HTTP, and not in FastCGI.
func (x *Exchange) inHTTP() bool { return x.site.Authorizer.Codec().TakesHTTP() }

// lets reports whether an authorizer's answer with this status lets the request pass: 200 in FastCGI
// (specification, section 6.3), and each 2xx in HTTP, as for nginx's auth_request.
func (x *Exchange) lets(status int) bool {
	return status == http.StatusOK || x.inHTTP() && status > http.StatusOK && status < http.StatusMultipleChoices
}

// decided goes on with the header of the authorizer's answer. What does not let the request pass is
// the client's.
func (x *Exchange) decided() Wait {
	if x.lets(x.resp.Status) {
		x.answer = x.answer[:x.header]
		return x.awaitConsent()
	}
	x.decide(Denied)
	if x.tells {
		return x.finish((*Exchange).told)
	}
	if x.continues() {
		return x.attemptOver(errNotContinued(x.resp.Status))
	}
	x.end = time.Time{} // the authorizer has decided; the client may take the answer at its own pace
	x.dropSendfile()
	for name := range x.Said {
		if cgi.IsVariableField(name) {
			delete(x.Said, name)
		}
	}
	return x.adopt()
}

// awaitConsent waits for the end of an answer that lets the request pass: one that is cut off does
// not. What comes before the end has no meaning.
func (x *Exchange) awaitConsent() Wait {
	if x.over || x.content.Ended() {
		return x.finish((*Exchange).consented)
	}
	x.held.given = false
	return x.await(time.Now().Add(time.Duration(x.site.Config.Timeouts.BetweenBytes)), (*Exchange).consentEvent)
}

func (x *Exchange) consentEvent(ev upstream.Event, err error) Wait {
	if err := x.more(ev, err); err != nil {
		return x.attemptOver(err)
	}
	x.answer = x.answer[:x.header]
	return x.awaitConsent()
}

// consented takes an answer that lets the request pass.
func (x *Exchange) consented() Wait {
	x.remember()
	return x.passed()
}

// passed goes on to the application. Nothing of the question is true for the request.
func (x *Exchange) passed() Wait {
	x.decide(Granted)
	x.asking, x.app, x.Request.Authorizer = false, x.site.App, false
	x.replayed, x.unrun, x.attempts, x.end = false, 0, 0, x.appEnd
	x.Out.Lane, x.Out.Instance, x.Out.Reused, x.Out.Attempts, x.Out.FirstByte = "", "", false, 0, 0
	x.Out.Answer, x.Out.LongPoll = 0, false
	x.grant()
	if err := x.identify(); err != nil { // it is known only now which user it is
		return x.fail(err)
	}
	x.classify()
	x.Ask.Long = x.Ask.Long || x.renews != nil || x.tells
	if err := x.available(); err != nil {
		return x.fail(err)
	}
	if m := x.client.Method(); x.renews == nil && (m == http.MethodGet || m == http.MethodHead) {
		return Wait{For: Front} // of static files, the authorizer is asked as well
	}
	return x.proceed()
}

// grant makes what the authorizer has said of the client the request's.
func (x *Exchange) grant() {
	c := &x.site.Config.Authorization
	if user := c.User != config.Off; x.inHTTP() {
		x.client.GrantFields(&x.Who, x.Said, user)
		if cookies := x.Said["Set-Cookie"]; len(cookies) > 0 { // a session that was prolonged
			h := x.client.Header()
			h["Set-Cookie"] = slices.Concat(h["Set-Cookie"], cookies)
		}
	} else {
		x.Who.Grant(x.variables, c.Variables, user)
	}
	x.Out.User = x.Who.User
	x.variables = nil
}

// parseVariables takes the variables from the header of an answer that lets the request pass. The
// header must be in order: a program that fails before it writes a Status field would seem to answer
// with 200.
func (x *Exchange) parseVariables(block []byte, warning string) error {
	if warning != "" {
		return fmt.Errorf("its header is not as it should be: %s", warning)
	}
	vars, refused, err := cgi.ParseVariables(block)
	if refused != "" {
		x.site.logHeader(x.client.Path(), x.Out.Instance, refused)
	}
	x.variables = vars
	return err
}

// decide notes what has become of the question. It is counted once, also if an answer that denies
// the request turns out to be incomplete. With local redirects there are several questions: the
// last decision is the request's.
func (x *Exchange) decide(d Decision) {
	x.Out.Authorizer = d
	if x.askedAt.IsZero() {
		return
	}
	x.Out.Authorizing += time.Since(x.askedAt)
	x.askedAt = time.Time{}
	x.site.Authorizer.Count(d)
}

// notAuthorized says of a failure while the authorizer was asked that it is the authorizer's,
// unless it is the client's or this program's.
func (x *Exchange) notAuthorized(f failure, err error) (failure, error) {
	var client *ClientError
	if !x.asking || errors.As(err, &client) || f.status == StatusClientClosed || f == shuttingDown {
		return f, err
	}
	x.decide(Failed)
	f.text = strings.ReplaceAll(f.text, "The application", "The authorizer")
	return f, &authorizerError{err}
}
