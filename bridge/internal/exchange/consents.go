package exchange

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
)

// Consents are answers of an authorizer that let a request pass and say for how long they hold. They
// hold for the same question alone: whatever is asked is part of it. The zero value is ready. It is
// safe for concurrent use.
type Consents struct {
	mu   sync.Mutex
	said map[question]consent
}

const (
	// maxConsents is how many are remembered, and maxConsent how large one may be, in bytes.
	maxConsents, maxConsent = 4096, 4 << 10
	// fieldOverhead is about what a name and a value take besides their text, in bytes.
	fieldOverhead = 32
)

// question is a hash of all that an authorizer is asked.
type question [sha256.Size]byte

// consent is what a request that passes is given.
type consent struct {
	header    http.Header // in HTTP
	variables []cgi.Var   // in FastCGI
	until     time.Time
}

func (c *Consents) empty() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.said) == 0
}

// find returns what was said of q, if it still holds.
func (c *Consents) find(q question) (consent, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.said[q]
	if ok && !time.Now().Before(found.until) {
		delete(c.said, q)
		ok = false
	}
	return found, ok
}

// add remembers what was said of q. If there is no room, those that hold no longer make some, or else
// any one.
func (c *Consents) add(q question, said consent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.said == nil {
		c.said = make(map[question]consent)
	}
	if _, known := c.said[q]; !known && len(c.said) >= maxConsents {
		now := time.Now()
		for old, other := range c.said {
			if !now.Before(other.until) {
				delete(c.said, old)
			}
		}
		for old := range c.said {
			if len(c.said) < maxConsents {
				break
			}
			delete(c.said, old)
		}
	}
	c.said[q] = said
}

// recall reports whether the authorizer has said that a request like this may pass, and that this
// still holds.
func (x *Exchange) recall() bool {
	consents := x.site.Authorizer.Consents()
	if consents.empty() {
		return false
	}
	said, ok := consents.find(x.question())
	if !ok {
		return false
	}
	x.forgetSaid()
	maps.Copy(x.Said, said.header)
	x.variables = said.variables
	return true
}

// remember notes an answer that lets the request pass, if it says for how long it holds.
func (x *Exchange) remember() {
	holds := holdsFor(x.Said)
	if holds <= 0 {
		return
	}
	said, size := consent{until: time.Now().Add(holds)}, 0
	if x.inHTTP() {
		said.header = x.Said.Clone()
	}
	said.variables = slices.Clone(x.variables)
	for name, values := range said.header {
		for _, value := range values {
			size += len(name) + len(value) + fieldOverhead
		}
	}
	for _, v := range said.variables {
		size += len(v.Name) + len(v.Value) + fieldOverhead
	}
	if size > maxConsent || x.describeQuestion() != nil { // it may have been forgotten meanwhile
		return
	}
	x.site.Authorizer.Consents().add(x.question(), said)
}

// holdsFor is how long an authorizer's answer may be taken for the answer to the same question, as
// for a shared cache (RFC 9111), but never without being told: 0 if it does not say so. With
// Set-Cookie it is one client's.
func holdsFor(said http.Header) time.Duration {
	if len(said["Set-Cookie"]) > 0 || slices.ContainsFunc(said["Vary"], func(v string) bool { return strings.Contains(v, "*") }) {
		return 0
	}
	var age, shared []string
	for directive := range strings.SplitSeq(strings.Join(said["Cache-Control"], ","), ",") {
		name, value, _ := strings.Cut(strings.Trim(directive, " \t"), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache", "private":
			return 0
		case "max-age":
			age = append(age, value)
		case "s-maxage":
			shared = append(shared, value)
		}
	}
	if len(shared) > 0 {
		age = shared
	}
	const most = 1 << 31 // RFC 9111, section 1.2.2
	var least uint64 = most
	for _, text := range age {
		seconds, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return 0
		}
		least = min(least, seconds)
	}
	if len(age) == 0 {
		return 0
	}
	if text := said.Get("Age"); text != "" {
		old, err := strconv.ParseUint(text, 10, 32)
		if err != nil || old >= least {
			return 0
		}
		least -= old
	}
	return time.Duration(least) * time.Second
}

// ofOneRequest are what differs from request to request and says nothing of who asks for what.
var ofOneRequest = map[string]bool{
	"REMOTE_PORT": true, "HTTP_TRACEPARENT": true, "HTTP_TRACESTATE": true, "Traceparent": true, "Tracestate": true,
}

// question is the hash of Request. The order of what is asked is chance, but not that of a field's lines.
func (x *Exchange) question() (q question) {
	h := sha256.New()
	var pairs []cgi.Var
	if r := &x.Request.HTTP; x.inHTTP() {
		addText(h, r.Method)
		addText(h, r.Target)
		addText(h, r.Host)
		for _, f := range r.Fields {
			pairs = append(pairs, cgi.Var{Name: f.Name, Value: f.Value})
		}
	} else {
		pairs = slices.Clone(x.Request.Vars)
	}
	slices.SortStableFunc(pairs, func(a, b cgi.Var) int { return cmp.Compare(a.Name, b.Name) })
	for _, p := range pairs {
		if !ofOneRequest[p.Name] {
			addText(h, p.Name)
			addText(h, p.Value)
		}
	}
	return question(h.Sum(nil))
}

// addText adds a text to a hash, which tells where it ends.
func addText(h hash.Hash, text string) {
	var size [8]byte
	binary.LittleEndian.PutUint64(size[:], uint64(len(text)))
	h.Write(size[:])
	h.Write([]byte(text))
}
