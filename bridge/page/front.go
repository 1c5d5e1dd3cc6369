package page

import (
	"fmt"
	"strings"
	"time"
)

// Front is the state of the servers in front of the applications.
type Front struct {
	Connections  int           `json:"connections"` // of clients
	Idle         int           `json:"idle"`        // of these, without a request
	Max          int           `json:"max"`
	Draining     bool          `json:"draining"`
	Certificates []Certificate `json:"certificates,omitempty"` // for TLS
	Findings     []Finding     `json:"findings,omitempty"`     // what is the matter, the most important first
}

// Certificate is a certificate that clients are shown.
type Certificate struct {
	Names   []string   `json:"names"`
	Source  string     `json:"source"`            // the file, or acme
	Expires *time.Time `json:"expires,omitempty"` // nil: there is none yet
	Error   string     `json:"error,omitempty"`   // why there is none, or no newer one, or clients refuse it
	Renewed bool       `json:"renewed"`           // by itself
}

// When a certificate that is still valid is a matter: one that people renew, and one that should have
// been renewed long before.
const (
	expiresSoon     = 14 * 24 * time.Hour
	renewsItselfBy  = 2 * 24 * time.Hour
	mostConnections = 95 // per cent
)

// say returns what is the matter with the servers; nothing if all is well.
func (f *Front) say(now time.Time) (all []Finding) {
	if f.Draining {
		all = append(all, Finding{Level: Notice, Text: "Sluice is draining: new requests are refused, and those in progress may finish.", Fault: true})
	}
	if busy := f.Connections - f.Idle; f.Max > 0 && busy*100 >= f.Max*mostConnections {
		all = append(all, Finding{Level: Warning, Text: fmt.Sprintf("%d of the %d connections that clients may have are in use; more have to wait.", busy, f.Max)})
	}
	for i := range f.Certificates {
		if found, matters := f.Certificates[i].say(now); matters {
			all = append(all, found)
		}
	}
	sortByLevel(all)
	return all
}

func (c *Certificate) say(now time.Time) (Finding, bool) {
	what := "The certificate for " + strings.Join(c.Names, ", ")
	why := ""
	if c.Error != "" {
		why = " (" + c.Error + ")"
	}
	soon := expiresSoon
	if c.Renewed {
		soon = renewsItselfBy
	}
	switch {
	case c.Expires == nil && c.Error == "":
		return Finding{Level: Notice, Text: what + " is being obtained."}, true
	case c.Expires == nil:
		return Finding{Level: Alarm, Text: what + " could not be obtained" + why + ".", Fault: true}, true
	case !now.Before(*c.Expires):
		return Finding{Level: Alarm, Text: fmt.Sprintf("%s has expired %s ago%s.", what, round(now.Sub(*c.Expires)), why), Fault: true}, true
	case c.Expires.Sub(now) < soon:
		return Finding{Level: Warning, Text: fmt.Sprintf("%s expires in %s%s.", what, round(c.Expires.Sub(now)), why)}, true
	case c.Error != "":
		return Finding{Level: Warning, Text: what + ": " + c.Error + "."}, true
	}
	return Finding{}, false
}
