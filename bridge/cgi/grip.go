package cgi

import "strings"

// Grip is what an application is told that may have its clients held. With it, no field that a client
// has named Grip-* is passed on, whatever its spelling.
type Grip struct {
	Sig      string // Grip-Sig: a signature
	Features string // Grip-Feature
	Last     string // Grip-Last, of a request that asks again for what was missed; "": it does not
}

// reserves reports whether a field of the client, in canonical form, must not be passed on.
func (g *Grip) reserves(key string) bool {
	return g != nil && len(key) > 4 && strings.EqualFold(key[:4], "grip") && (key[4] == '-' || key[4] == '_')
}

// reservesVar is reserves for the variable of a field.
func (g *Grip) reservesVar(name string) bool {
	return g != nil && len(name) > 5 && name[:5] == "HTTP_" && g.reserves(name[5:])
}

// fields yields the fields that there are, with the names of their variables.
func (g *Grip) fields(put func(name, variable, value string)) {
	if g == nil {
		return
	}
	put("Grip-Sig", "HTTP_GRIP_SIG", g.Sig)
	put("Grip-Feature", "HTTP_GRIP_FEATURE", g.Features)
	if g.Last != "" {
		put("Grip-Last", "HTTP_GRIP_LAST", g.Last)
	}
}
