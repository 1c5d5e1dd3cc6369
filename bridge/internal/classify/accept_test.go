package classify

import (
	"testing"

	"github.com/sluice-proxy/sluice/bridge/admission"
)

// The answers that a client accepts.
func TestAccept(t *testing.T) {
	for name, c := range map[string]struct {
		header     []string
		json, long bool
	}{
		"nothing":              {nil, false, false},
		"a page":               {[]string{"Accept", acceptOfPage}, false, false},
		"jQuery's JSON":        {[]string{"Accept", acceptOfJQuery}, true, false},
		"a kind of JSON":       {[]string{"Accept", "application/problem+json;q=1"}, true, false},
		"JSON, if need be":     {[]string{"Accept", "text/html, application/json"}, false, false},
		"a stream":             {[]string{"Accept", "text/event-stream"}, false, true},
		"willing to wait":      {[]string{"Prefer", "respond-async, Wait = 30"}, false, true},
		"willing, quoted":      {[]string{"Prefer", `wait="5"; foo`}, false, true},
		"willing, second line": {[]string{"Prefer", "return=minimal", "Prefer", "wait=1"}, false, true},
		"unwilling":            {[]string{"Prefer", "wait=0, wait=9"}, false, false},
		"no number":            {[]string{"Prefer", "wait=soon"}, false, false},
		"another word":         {[]string{"Prefer", "wait-for-it=1"}, false, false},
	} {
		r := requestFor(t, "GET", "/", c.header...)
		var ask admission.Request
		New(all()).Request(&ask, r, nil)
		if got := PrefersJSON(r.Header); got != c.json || ask.Long != c.long {
			t.Errorf("%s: JSON %v, long %v, want %v and %v", name, got, ask.Long, c.json, c.long)
		}
	}
}
