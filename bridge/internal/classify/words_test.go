package classify

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// Routes show what operators need to see.
func TestWordsAreShown(t *testing.T) {
	for s := range strings.FieldsSeq(`
		wiki ticket browser changeset timeline roadmap milestone report search newticket attachment settings login logout
		index doku lib exe fetch plugin template events chat messages poll longpoll status admin dashboard projects
		InstallationOnDebian TracGuide RSSFeed WikiStart RecentChanges Special:Search wp-admin wp-json cgi-bin mod_perl
		page2 v1 utf8 report-2024 2024-report release_notes README CHANGELOG jquery.min main.bundle
		how-to-build Größe お知らせ notifications preferences subscriptions administration documentation
		known knowledge prefs xmlrpc inbox rhythm sphinx strengths SandBox Blitzlichtfotografie ipynb nginx lighttpd haproxy
		mysql postgresql systemd roundcube dokuwiki mediawiki Rechtschreibprüfung
		getCapabilities GetMap mapserv gitweb cgit snapshot shortlog commitdiff xhr rss api js css img`) {
		if plain, _ := isWords(s); !plain {
			t.Errorf("%s is not shown", s)
		}
	}
}

// Routes do not show what may belong to a person or give access to something.
func TestSecretsAreNotShown(t *testing.T) {
	for s := range strings.FieldsSeq(`
		jane@example.org jane%40example.org jane+wiki@example.org 4711 2024-02-29 192.0.2.1 1.2.3 +491701234567
		9fceb02 deadbeef 9fceb02d0ae598e95dc970b74767f19372d61af8 123e4567-e89b-12d3-a456-426614174000
		QWxhZGRpbjpvcGVuIHNlc2FtZQ QWxhZGRpbjpvcGVuIHNlc2FtZQ== qzxwvkjhgfdp kqwzjxvbnm aBcDeFgHiJ XyZzYqRtPlMnBv
		a1b2c3 x9k2q 3n4t5g ABC123DEF abc123 Zm9vYmFyYmF6cXV4 mzxw6ytboi nb2hi4dthixs653xo4xhg2lumuxgg33n
		eyJhbGciOiJIUzI1NiJ9 eyJzdWIiOiIxMjM0NTY3ODkwIn0 MQ-c4s9f7 vYKPfJwQrTzLsNdB HJKLQWRTPZXCVBNM
		correct-horse-battery-staple-and-two-more-words a-b-c-d pass=word key:value! \x01 sk_live_4eC39HqLyjWDarjtT1zdp7dc
		xkcdxkcdxkcdxkcdxkcdxkcd wxyzwxyzwxyzwxyz`) {
		if plain, _ := isWords(s); plain {
			t.Errorf("%s is shown", s)
		}
	}
}

// Routes hardly ever show random keys.
func TestRandomKeysAreNotShown(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for name, c := range map[string]struct {
		alphabet string
		length   int
		most     int // of 100,000 that may be shown
	}{
		"hex":          {"0123456789abcdef", 16, 0},
		"base36":       {"0123456789abcdefghijklmnopqrstuvwxyz", 16, 10},
		"base62":       {"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", 16, 10},
		"base64url":    {"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_", 22, 10},
		"base32":       {"abcdefghijklmnopqrstuvwxyz234567", 16, 100},
		"letters":      {"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", 16, 100},
		"lower, long":  {"abcdefghijklmnopqrstuvwxyz", 20, 100},
		"lower, short": {"abcdefghijklmnopqrstuvwxyz", 10, 13000}, // few keys are so short and have no digits
	} {
		passed := 0
		for range 100_000 {
			var s strings.Builder
			for range c.length {
				s.WriteByte(c.alphabet[rng.IntN(len(c.alphabet))])
			}
			if plain, _ := isWords(s.String()); plain {
				passed++
			}
		}
		if t.Logf("%s: %d of 100,000", name, passed); passed > c.most {
			t.Errorf("%s: %d of 100,000 are shown, want at most %d", name, passed, c.most)
		}
	}
}

// What follows such a word is never shown.
func TestSegmentsAfterAWordThatPrecedesASecret(t *testing.T) {
	for target, want := range map[string]string{
		"/reset/password/hunter":              "/reset/password/*",
		"/reset/password/QWxhZGRpbjpvcGVuIHN": "/reset/password/*",
		"/accounts/reset/MQ/set/":             "/accounts/reset/*/*",
		"/password-reset/open/sesame":         "/password-reset/*/*",
		"/resetPassword/sesame.html":          "/resetPassword/*.html",
		"/INVITE/friend":                      "/INVITE/*",
		"/magic_link/abc":                     "/magic_link/*",
		"/user/jane@example.org/posts":        "/user/*/posts",
		"/unsubscribe/jane":                   "/unsubscribe/*",
		"/tokens":                             "/tokens",
		"/keyboard/layout":                    "/keyboard/layout",
	} {
		r := requestFor(t, "GET", target)
		route, at := appendRoute(nil, r, acceptsAny, "")
		if got := string(route[at.path:at.query]); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}
