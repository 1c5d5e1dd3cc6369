package cgi

import (
	"fmt"
	"net/textproto"
	"strings"
)

// underscored has the fields with underscores that are passed, by their canonical names, and the
// fields with hyphens that are dropped for them: "Api_key" and "Api-Key" are both
// HTTP_API_KEY.
type underscored struct {
	names      map[string]string // the variables
	hyphenated map[string]bool   // the same names with hyphens
}

func (m *Mapper) checkUnderscored(list []string) (u underscored, err error) {
	for _, text := range list {
		key := textproto.CanonicalMIMEHeaderKey(text)
		hyphens := textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(text, "_", "-"))
		switch {
		case !strings.Contains(text, "_"):
			return u, fmt.Errorf("cgi: underscore_headers %q: has no underscore, and is passed anyway (remove it)", text)
		case !passable(hyphens):
			return u, fmt.Errorf("cgi: underscore_headers %q: a name is letters, digits, hyphens and underscores", text)
		case headerVars[hyphens] != headerVar{}, isForwarded(hyphens), hyphens == m.userHeader, hyphens == m.passUser && m.passUser != "", m.granted.reserved[hyphens] != "":
			return u, fmt.Errorf("cgi: underscore_headers %q: would be taken for %s, which has a meaning of its own", text, hyphens)
		case u.hyphenated[hyphens]:
			return u, fmt.Errorf("cgi: underscore_headers %q: is the same variable as another one", text)
		}
		if u.names == nil {
			u.names, u.hyphenated = make(map[string]string), make(map[string]bool)
		}
		u.names[key] = "HTTP_" + strings.ToUpper(strings.ReplaceAll(hyphens, "-", "_"))
		u.hyphenated[hyphens] = true
	}
	return u, nil
}

// dropped reports a field that is dropped because of an underscore in its name, if
// UnderscoreHeaders could list it.
func (m *Mapper) dropped(key string) {
	if m.onDropped == nil || !strings.Contains(key, "_") {
		return
	}
	if _, err := m.checkUnderscored([]string{key}); err == nil {
		m.onDropped(key)
	}
}
