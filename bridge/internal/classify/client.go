package classify

import (
	"fmt"
	"hash/maphash"
	"net/http"
	"net/netip"
	"net/textproto"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/cgi"
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

// clientKeys makes client keys.
type clientKeys struct {
	source KeySource
	seeds  Seeds
}

// of returns the client key of r, which comes from c, 0 if it is not known who asks, and
// whether many people may share the key.
func (k *clientKeys) of(r *http.Request, c *cgi.Client) (key uint64, shared bool) {
	kind, text := k.source.kind, ""
	switch kind {
	case fromNothing:
		return 0, false
	case fromAddress:
		return k.address(c.Addr), false
	case fromAuto:
		if text = sessionOf(r.Header["Cookie"]); text != "" {
			kind = fromCookie
		} else {
			kind, text = fromUser, c.User
		}
	case fromCookie:
		text = cookie(r.Header["Cookie"], k.source.name)
	case fromHeader:
		if v := r.Header[k.source.name]; len(v) > 0 {
			text = v[0]
		}
	case fromUser:
		if text = c.User; text == "" {
			text = credentials(r.Header["Authorization"])
		}
	}
	if text == "" {
		return k.address(c.Addr), true
	}
	return k.hash(kind, text), false
}

// address returns the key of an address, of IPv6 its first 64 bits: a household or a machine
// has the others to itself. It is 0 if there is no address: the peer is a proxy on a unix
// socket that does not name its client.
func (k *clientKeys) address(addr string) uint64 {
	if addr == "" || addr == "unix:" {
		return 0
	}
	if strings.IndexByte(addr, ':') >= 0 {
		if ip, err := netip.ParseAddr(addr); err == nil && ip.Is6() {
			b := ip.As16()
			return max(1, maphash.Bytes(k.seeds[fromAddress], b[:8]))
		}
	}
	return k.hash(fromAddress, addr)
}

func (k *clientKeys) hash(kind keyKind, text string) uint64 {
	return max(1, maphash.String(k.seeds[kind], text)) // 0: not known
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
