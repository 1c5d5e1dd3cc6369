package exchange

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/hold"
	"github.com/sluice-proxy/sluice/bridge/hold/grip"
	"github.com/sluice-proxy/sluice/bridge/internal/sendfile"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// A client is held if the application says so (GRIP): it has answered at once, its worker is free, and
// the client waits for messages that are published. A HeldClient is all that is kept of the exchange
// meanwhile, if the driver likes: everything else follows from the client's request.

// Holds are what the held clients of a site need.
type Holds struct {
	Site *hold.Site
	Sig  func() string // the signature of a request to the application
	// Routes are those whose clients are held: they may come all at once, and wait for a worker as
	// long-polls do.
	Routes *Routes
}

// Routes are routes whose clients have been held. They may be used by several goroutines at once.
type Routes struct {
	mu    sync.RWMutex
	known map[string]struct{}
}

// routesMost is how many routes are known at most.
const routesMost = 1000

// NewRoutes returns Routes without any.
func NewRoutes() *Routes { return &Routes{known: make(map[string]struct{})} }

func (r *Routes) has(route string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, ok := r.known[route]
	return ok
}

func (r *Routes) add(route string) {
	if r.has(route) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.known) == routesMost {
		clear(r.known) // those that are asked for are soon known again
	}
	r.known[strings.Clone(route)] = struct{}{}
}

// sign has the application told that it may have the client held. Of an authorizer that is not said.
func (x *Exchange) sign(application bool) {
	s := x.site.Holds
	if s == nil {
		return
	}
	g := new(cgi.Grip)
	if application {
		g.Sig, g.Features = s.Sig(), grip.Features
	}
	if application && x.renews != nil {
		g.Last = x.renews.last
	}
	x.Who.Grip = g
}

// order is what the application says is to become of the client.
type order struct {
	grip.Instruct
	status int
	header []byte // its fields, a line each
	body   []byte
	over   bool // a stream ends with body
}

// isInstructed reports whether the answer says what is to become of the client. What goes on with a
// stream does so in every case.
func (x *Exchange) isInstructed() bool {
	return x.site.Holds != nil && !x.asking && (x.continues() || grip.Instructs(x.Said))
}

// continues reports whether the client is sent a stream that the answer goes on with.
func (x *Exchange) continues() bool { return x.renews != nil && x.renews.IsStream() }

// awaitOrder waits for the whole answer, which is kept while the client is held.
func (x *Exchange) awaitOrder() Wait {
	most := x.site.Holds.Site.Registry().Limits().Message
	switch {
	case len(x.answer)-x.header > most:
		return x.attemptOver(&appError{ErrorProtocol, fmt.Errorf("the answer that has the client held is larger than hold.message allows (%d bytes)", most)})
	case x.over || x.content.Ended():
		return x.ordered()
	}
	return x.awaitMore(time.Now().Add(time.Duration(x.site.Config.Timeouts.BetweenBytes)), (*Exchange).orderEvent)
}

func (x *Exchange) orderEvent(ev upstream.Event, err error) Wait {
	if err := x.more(ev, err); err != nil {
		return x.attemptOver(err)
	}
	return x.awaitOrder()
}

// ordered reads the answer, and lets the application go.
func (x *Exchange) ordered() Wait {
	body := x.answer[x.header:]
	o, err := x.readOrder(body)
	if err != nil {
		return x.attemptOver(err)
	}
	x.letGo()
	x.renewed()
	x.nameGone(o)
	switch {
	case x.continues():
	case o.over, x.bodyless(o.status) && o.Wait.Mode == hold.Stream:
		x.resp.Status, x.resp.ContentLength = o.status, -1
		delete(x.Said, "Content-Length")
		x.merge()
		return x.respond(o.body)
	}
	if o.Hold {
		x.site.Holds.Routes.add(x.Ask.Route)
	}
	x.order = o
	return Wait{For: Held}
}

// readOrder says what is to become of the client.
func (x *Exchange) readOrder(body []byte) (*order, error) {
	o := &order{status: x.resp.Status}
	switch {
	case grip.Instructs(x.Said):
		in, err := grip.Parse(x.Said, body, x.site.Holds.Site.Registry().Limits().Channels)
		if err != nil {
			return nil, &appError{ErrorProtocol, err}
		}
		o.Instruct = *in
		o.over = !in.Hold && in.Next.Target == ""
		o.status = cmp.Or(in.Status, o.status)
	case x.resp.Status != http.StatusOK:
		return nil, errNotContinued(x.resp.Status)
	default:
		o.over = true
	}
	if x.continues() && o.Wait.Mode == hold.Response && o.Hold {
		return nil, &appError{ErrorProtocol, fmt.Errorf("Grip-Hold: is response in what goes on with a stream, want stream")}
	}
	grip.Strip(x.Said)
	if o.HasAnswer {
		delete(x.Said, "Content-Type")
		for _, f := range o.Fields {
			if cgi.IsSingle(f[0]) {
				x.Said[f[0]] = nil
			}
			x.Said[f[0]] = append(x.Said[f[0]], f[1])
		}
		body = o.Body
	}
	o.Fields, o.Body = nil, nil
	delete(x.Said, "Content-Length")
	x.dropSendfile()
	o.body, o.header = bytes.Clone(body), appendFields(nil, x.Said)
	w := &o.Wait
	if w.Mode == hold.Response {
		w.Recovers = x.client.Method() == http.MethodGet && x.driver.Body().Length == 0
	} else {
		w.Recovers = o.Next.Target != ""
	}
	if x.renews != nil && (o.Hold || len(o.body) == 0) { // a page that leads to the next is not in vain
		w.Recovered = x.renews.inVain
	}
	return o, nil
}

// errNotContinued is an answer that was to go on with a stream.
func errNotContinued(status int) error {
	return &appError{ErrorProtocol, fmt.Errorf("a stream was to go on, and the application answered with status %d", status)}
}

// appendFields appends fields to b, a line each.
func appendFields(b []byte, h http.Header) []byte {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, v := range h[name] {
			b = append(append(append(append(b, name...), ':'), v...), '\n')
		}
	}
	return b
}

// setFields sets in h what appendFields has written, which replaces fields of the same name.
func setFields(h http.Header, fields []byte) {
	own := make(http.Header)
	for line := range strings.Lines(string(fields)) {
		name, value, _ := strings.Cut(line[:len(line)-1], ":")
		own[name] = append(own[name], value)
	}
	for name, values := range own {
		if before := h[name]; len(before) > 0 && !cgi.IsSingle(name) {
			values = slices.Concat(before, values)
		}
		h[name] = values
	}
}

// HeldClient is a client that is held. It is its driver's, until Released. There are many: what only
// streams need is apart.
type HeldClient struct {
	*hold.Hold // nil: the stream is over
	*stream    // nil: it waits for a single answer

	status int
	header []byte    // of a single answer, as appendFields writes it
	body   []byte    // if nothing is published; of a stream, what it begins with
	until  time.Time // of a single answer
	end    hold.End
	inVain int    // times that the application was asked again, with this one
	last   string // Grip-Last
	gone   string // where the application is told that the client is; "": nowhere

	out passed
}

// stream is what a stream needs besides.
type stream struct {
	keep   grip.KeepAlive
	next   grip.Link
	keepAt time.Time // when it is kept alive; zero: never
	nextAt time.Time // when what comes next is asked for; zero: never
}

// passed is what an Outcome has of the time before the client was held. The rest follows from the
// client's request.
type passed struct {
	lane, instance      string
	status              int
	bytesOut            int64
	reused              bool
	attempts            int
	upload, queued      time.Duration
	leasing, firstByte  time.Duration
	answer, authorizing time.Duration
	authorizer          Decision
	queuedAt            time.Time
	granted, sent       time.Duration // since then
	held                time.Duration // before the application was asked again
}

func (o *Outcome) passed() passed {
	return passed{
		o.Lane, o.Instance, o.Status, o.BytesOut, o.Reused, o.Attempts, o.Upload, o.Queued, o.Leasing, o.FirstByte, o.Answer,
		o.Authorizing, o.Authorizer, o.QueuedAt, o.GrantedAt.Sub(o.QueuedAt), o.SentAt.Sub(o.QueuedAt), o.Held,
	}
}

// restore sets what p has.
func (p *passed) restore(o *Outcome) {
	o.Lane, o.Instance, o.Status, o.BytesOut, o.Reused, o.Attempts = p.lane, p.instance, p.status, p.bytesOut, p.reused, p.attempts
	o.Upload, o.Queued, o.Leasing, o.FirstByte, o.Answer, o.Authorizing = p.upload, p.queued, p.leasing, p.firstByte, p.answer, p.authorizing
	o.Authorizer, o.QueuedAt, o.GrantedAt, o.SentAt, o.LongPoll = p.authorizer, p.queuedAt, p.queuedAt.Add(p.granted), p.queuedAt.Add(p.sent), true
	o.Held = p.held + time.Since(o.SentAt) - p.firstByte - p.answer
}

// IsStream reports whether the client is sent a stream.
func (h *HeldClient) IsStream() bool { return h.stream != nil }

// Status is the status of a stream.
func (h *HeldClient) Status() int { return h.status }

// Hold has the client held. Before the first piece of a stream the driver sends its Status, and the
// header of the client. If h is nil, the exchange goes on with w.
func (x *Exchange) Hold(waiter hold.Waiter) (h *HeldClient, w Wait) {
	o := x.order
	x.order = nil
	now := time.Now()
	h = &HeldClient{status: o.status, body: o.body}
	if o.over {
		h.end = hold.Closed
	} else {
		made, err := x.site.Holds.Site.Hold(&o.Wait, hold.Who{Key: x.Ask.ClientKey, Shared: x.Ask.Shared}, waiter)
		if err != nil {
			return nil, x.fail(err)
		}
		h.Hold = made
	}
	if o.over || o.Wait.Mode == hold.Stream {
		x.beginStream(h, o, now)
	} else {
		h.header, h.until = o.header, now.Add(o.Timeout)
	}
	x.renews, h.out = nil, x.Out.passed()
	h.gone, x.gone = x.gone, ""
	return h, Wait{}
}

// beginStream makes h a stream, and what the application has said its header, unless that was sent.
func (x *Exchange) beginStream(h *HeldClient, o *order, now time.Time) {
	h.stream = &stream{keep: o.Keep, next: o.Next}
	if len(o.Keep.Data) > 0 {
		h.keepAt = now.Add(o.Keep.Every)
	}
	h.lively(now)
	if x.continues() {
		return
	}
	header := x.client.Header()
	setFields(header, o.header)
	x.adopted, x.resp.Status = true, o.status
	x.setHead(nil)
	delete(header, "Content-Length")
}

// lively says that a stream was sent something.
func (h *HeldClient) lively(now time.Time) {
	if t := h.next.Timeout; h.next.Target != "" && t > 0 {
		h.nextAt = now.Add(t)
	}
	if !h.keepAt.IsZero() && !h.keep.Interval {
		h.keepAt = now.Add(h.keep.Every)
	}
}

// Due is when to call Expired; zero: never.
func (h *HeldClient) Due() time.Time {
	if h.stream == nil {
		return h.until
	}
	if h.keepAt.IsZero() || !h.nextAt.IsZero() && h.nextAt.Before(h.keepAt) {
		return h.nextAt
	}
	return h.keepAt
}

// Expired says that the time may be Due.
func (h *HeldClient) Expired(now time.Time) {
	switch {
	case h.Hold == nil:
	case h.stream == nil:
		if !now.Before(h.until) {
			h.Expire()
		}
	case !h.nextAt.IsZero() && !now.Before(h.nextAt):
		h.nextAt = time.Time{}
		h.Ask()
	}
}

// Next returns the next piece for the client of a stream, nil if there is none now. It may be called
// before the client has taken the piece before; but then what waits is not bounded. over says that
// there will be no more: Released is to be called.
func (h *HeldClient) Next(now time.Time) (p []byte, over bool) {
	if len(h.body) > 0 {
		p, h.body = h.body, nil
		return p, false
	}
	if h.Hold == nil {
		return nil, true
	}
	for {
		m, end := h.Take()
		switch {
		case m != nil && len(m.Body) == 0:
			continue
		case m != nil:
			h.lively(now)
			return m.Body, false
		case end != hold.None:
			h.end = end
			return nil, true
		case !h.keepAt.IsZero() && !now.Before(h.keepAt):
			h.keepAt = now.Add(h.keep.Every)
			return h.keep.Data, false
		}
		return nil, false
	}
}

// Sent counts bytes of a stream that the client was sent.
func (h *HeldClient) Sent(n int) { h.out.bytesOut += int64(n) }

// Leave says that the client has left, or cannot be sent more.
func (h *HeldClient) Leave() {
	if h.Hold != nil {
		h.Hold.Leave()
	}
}

// Restore makes x, which is new, the exchange that the client was held by, with the same arguments as
// in Begin. Who is set.
func (x *Exchange) Restore(site *Site, client Client, driver Driver, h *HeldClient) {
	x.site, x.client, x.driver, x.app = site, client, driver, site.App
	x.Out.Client, x.Out.User = x.Who.Addr, x.Who.User
	x.known, x.adopted = true, h.IsStream()
	x.setKey()
	x.classify()
}

// Released goes on with a client that is Ready, or over, or has left; then cause is not nil: that is
// why.
func (x *Exchange) Released(h *HeldClient, cause error) Wait {
	h.out.restore(&x.Out)
	x.gone = h.gone
	var m *hold.Message
	if !h.IsStream() {
		m, h.end = h.Take()
		if m != nil {
			h.end = hold.Answered
		}
	}
	switch {
	case h.Hold != nil && h.IsSlow(): // what the client has not taken is dropped
		h.end = hold.Slow
	case cause != nil:
		h.end = hold.Left
	}
	x.Out.HeldEnd = h.end.String()
	if h.end != hold.Recover {
		h.Leave()
	}
	switch {
	case cause != nil && h.end != hold.Slow:
		return x.fail(cause)
	case h.end == hold.Recover:
		return x.renew(h)
	case m != nil:
		return x.deliver(h, m)
	case !h.IsStream(): // it has expired, or the site ends
		return x.deliver(h, &hold.Message{Status: h.status, Body: h.body})
	case h.end == hold.Closed, h.end == hold.Drained:
		return Wait{}
	}
	cut := &cutError{h.end}
	x.site.cuts.tell(x.site, cut, x.client.Path())
	return x.fail(cut)
}

// cutError is a stream that cannot go on.
type cutError struct{ end hold.End }

func (e *cutError) Error() string {
	if e.end == hold.Slow {
		return "held client: does not take what was published, and more waits than hold.backlog allows; its connection is cut"
	}
	return "held client: has missed a message, and the application has named no Grip-Link with rel=next; its connection is cut, so that it asks again"
}

// cutNotices tells the log of streams that are cut, each reason once: metrics count them.
type cutNotices struct{ slow, missed atomic.Bool }

func (n *cutNotices) tell(s *Site, e *cutError, path string) {
	told, remedy := &n.missed, "have the application name what goes on with the stream: Grip-Link with rel=next (docs/hold.md)"
	if e.end == hold.Slow {
		told, remedy = &n.slow, "raise hold.backlog, if messages come in bursts that clients need time for"
	}
	if !told.Swap(true) {
		s.Log.Warn("the stream of a held client was cut; this is logged once", "path", path, "error", e.Error(), "remedy", remedy)
	}
}

// deliver answers the client with a message. What the application has said stays, as far as the message
// does not say otherwise. It names no file: whoever may publish may not read what this machine has.
func (x *Exchange) deliver(h *HeldClient, m *hold.Message) Wait {
	x.adopted = true
	header := x.client.Header()
	setFields(header, h.header)
	for _, f := range m.Fields {
		delete(header, f[0])
	}
	for _, f := range m.Fields {
		if !slices.Contains(sendfile.Fields[:], f[0]) {
			header[f[0]] = append(header[f[0]], f[1])
		}
	}
	x.resp.Status, x.resp.ContentLength = m.Status, -1
	return x.respond(m.Body)
}

// renew asks the application again: with the client's request, or for what comes next in a stream.
func (x *Exchange) renew(h *HeldClient) Wait {
	x.renews, x.adopted = h, false // this request may be sent again as any other
	h.inVain = h.InVain() + 1
	h.last = lastIDs(h.Missed())
	x.replayed, x.unrun, x.attempts, x.end = false, 0, 0, time.Time{}
	if h.IsStream() {
		if !x.client.FindTarget(h.next.Target) {
			return x.fail(&appError{ErrorProtocol, fmt.Errorf("Grip-Link: <%s> leads nowhere in this site", h.next.Target)})
		}
		x.client.Redirect()
		x.client.Continue()
	}
	x.client.Identify(&x.Who)
	x.setKey()
	x.classify()
	if x.guarded() {
		return x.authorize()
	}
	x.Ask.Long = true // whoever waits already must not take the last workers
	return x.proceed()
}

// renewed says that the application has answered, or will not: others have their turn.
func (x *Exchange) renewed() {
	if x.renews != nil {
		x.renews.Leave()
	}
}

// lastIDs is the Grip-Last field.
func lastIDs(list []hold.Subscription) string {
	var b strings.Builder
	for i, s := range list {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(s.Channel + "; last-id=" + quoted(s.PrevID))
	}
	return b.String()
}

// quoted returns an id as the value of a parameter: in quotes if it would be taken for more than that.
func quoted(id string) string {
	if id != "" && !strings.ContainsAny(id, " ,;\"\\<>") {
		return id
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(id) + `"`
}
