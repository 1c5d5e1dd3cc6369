package classify

import (
	"fmt"
	"hash/maphash"
	"net/http"
	"net/netip"
	"net/textproto"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/internal/siphash"
)

// KeySource is what the client keys of a site are made from, as the setting client.key says.
// The zero value is "auto".
type KeySource struct {
	kind keyKind
	name string // of the cookie, or the header in its canonical form
}

type keyKind uint8

const (
	fromAuto keyKind = iota // the session cookie, the user or the address
	fromCookie
	fromHeader
	fromUser
	fromAddress
	fromNothing
	keyKinds
)

// ParseKeySource reads client.key. Its error continues "client.key: ".
func ParseKeySource(text string) (KeySource, error) {
	word, name, _ := strings.Cut(strings.TrimSpace(text), " ")
	name = strings.TrimSpace(name)
	switch word {
	case "cookie", "header":
		switch {
		case name == "":
			return KeySource{}, fmt.Errorf("is %q, and lacks the %s's name", text, word)
		case strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r) }):
			return KeySource{}, fmt.Errorf("%q is no name of a %s", name, word)
		case word == "cookie":
			return KeySource{fromCookie, name}, nil
		}
		return KeySource{fromHeader, textproto.CanonicalMIMEHeaderKey(name)}, nil
	}
	kinds := map[string]keyKind{"": fromAuto, "auto": fromAuto, "user": fromUser, "client": fromAddress, "off": fromNothing}
	kind, ok := kinds[word]
	if !ok || name != "" {
		return KeySource{}, fmt.Errorf("is %q, want auto, cookie NAME, header NAME, user, client or off", text)
	}
	return KeySource{kind: kind}, nil
}

// NamesAccounts reports whether a client key that is not shared stands for an account, so
// that the addresses it is used from can be counted.
func (s KeySource) NamesAccounts() bool {
	return s.kind == fromCookie || s.kind == fromHeader || s.kind == fromUser
}

// Seeds make the client keys of a site, one seed for each kind of key, so that equal texts of
// two kinds differ. Nobody outside this process can make two keys equal, or find out by trying
// whose a key is. Seeds can be compared.
type Seeds [keyKinds]maphash.Seed

// NewSeeds returns the seeds of a site. Sites that share an application have the same seed
// for addresses: a user of one site is not a user of the other, and an address is one client.
func NewSeeds(address maphash.Seed) (seeds Seeds) {
	for i := range seeds {
		seeds[i] = maphash.MakeSeed()
	}
	seeds[fromAddress] = address
	return seeds
}

// Names are the keys by which all gates of a fleet give a client the same name, one for each kind of
// client key. A client key is this process's own, and stays when the fleet's key changes; a name is what
// other gates are told.
type Names [keyKinds]siphash.Key

// NewNames returns the Names of a site from the fleet's key. As with Seeds, addresses have the same name at
// all sites of an application.
func NewNames(fleet siphash.Key, site string) *Names {
	names := new(Names)
	for i := range names {
		names[i] = fleet.Derive("client " + string('0'+rune(i)) + site)
	}
	names[fromAddress] = fleet.Derive("address")
	return names
}

// Address returns the name of a client address: that of Request.AddressName.
func (n *Names) Address(addr string) uint64 { return originOf(addr).name(n) }

// origin is what a client key is made from.
type origin struct {
	kind    keyKind
	text    string  // nothing: it is not known who asks
	network [8]byte // of an IPv6 address, in place of text
	isIPv6  bool
}

// originOf returns the origin of an address's key, of IPv6 its first 64 bits: a household or a machine has
// the others to itself. It is nothing if there is no address: the peer is a proxy on a unix socket that
// does not name its client.
func originOf(addr string) origin {
	if strings.IndexByte(addr, ':') >= 0 {
		if ip, err := netip.ParseAddr(addr); err == nil && ip.Is6() {
			b := ip.As16()
			return origin{kind: fromAddress, network: [8]byte(b[:8]), isIPv6: true}
		}
	}
	if addr == "unix:" {
		addr = ""
	}
	return origin{kind: fromAddress, text: addr}
}

// key returns the client key, 0 if it is not known who asks.
func (o origin) key(seeds *Seeds) uint64 {
	switch {
	case o.isIPv6:
		return max(1, maphash.Bytes(seeds[o.kind], o.network[:]))
	case o.text == "":
		return 0
	}
	return max(1, maphash.String(seeds[o.kind], o.text))
}

// name is key for the gates of a fleet.
func (o origin) name(names *Names) uint64 {
	switch {
	case o.isIPv6:
		return max(1, siphash.Sum(&names[o.kind], string(o.network[:])))
	case o.text == "":
		return 0
	}
	return max(1, siphash.Sum(&names[o.kind], o.text))
}

// of returns what the client key of r, which comes from c, is made from, and whether many people may
// share the key.
func (s KeySource) of(r *http.Request, c *cgi.Client) (from origin, shared bool) {
	kind, text := s.kind, ""
	switch kind {
	case fromNothing:
		return origin{}, false
	case fromAddress:
		return originOf(c.Addr), false
	case fromAuto:
		if text = sessionOf(r.Header["Cookie"]); text != "" {
			kind = fromCookie
		} else {
			kind, text = fromUser, c.User
		}
	case fromCookie:
		text = cookie(r.Header["Cookie"], s.name)
	case fromHeader:
		if v := r.Header[s.name]; len(v) > 0 {
			text = v[0]
		}
	case fromUser:
		if text = c.User; text == "" {
			text = credentials(r.Header["Authorization"])
		}
	}
	if text == "" {
		return originOf(c.Addr), true
	}
	return origin{kind: kind, text: text}, false
}

// credentials returns the credentials of an Authorization field if a client sends the same
// with each request, else "". The user's name alone does not do: anybody can send it.
func credentials(authorization []string) string {
	if len(authorization) == 0 {
		return ""
	}
	scheme, text, _ := strings.Cut(authorization[0], " ")
	if strings.EqualFold(scheme, "Basic") || strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(text)
	}
	return ""
}
