package grip

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const secret = "changeme changeme"

// signed makes a JWT as libraries do.
func signed(header, claims, key string) string {
	e := base64.RawURLEncoding
	text := e.EncodeToString([]byte(header)) + "." + e.EncodeToString([]byte(claims))
	m := hmac.New(sha256.New, []byte(key))
	m.Write([]byte(text))
	return text + "." + e.EncodeToString(m.Sum(nil))
}

func TestPermits(t *testing.T) {
	k, err := NewKey([]byte("\n" + secret + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_700_000_000, 0)
	const header = `{"typ":"JWT","alg":"HS256"}`
	later, before := `{"iss":"x","exp":1700000100}`, `{"iss":"x","exp":1699999000}`
	for authorization, permitted := range map[string]bool{
		"Bearer " + secret:                        true,
		"bearer " + signed(header, later, secret): true,
		"Bearer " + signed(header, `{"exp":1700000100.5,"nbf":1700000030}`, secret): true,
		"Bearer " + signed(header, before, secret):                                  false,
		"Bearer " + signed(header, `{"exp":1700000100,"nbf":1700000090}`, secret):   false,
		"Bearer " + signed(header, `{"iss":"x"}`, secret):                           false, // never ends
		"Bearer " + signed(header, later, "another"):                                false,
		"Bearer " + signed(`{"alg":"none"}`, later, secret):                         false,
		"Bearer " + signed(header, later, secret)[:20]:                              false,
		"Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+secret)):        false,
		"Bearer ": false, "": false, "Bearer a.b.c": false, "Bearer " + secret + "x": false,
	} {
		if err := k.Permits(authorization, now); (err == nil) != permitted {
			t.Errorf("%s: %v", authorization, err)
		}
	}
	if _, err := NewKey([]byte(" short ")); err == nil || !strings.Contains(err.Error(), "5 bytes") {
		t.Error(err)
	}
}

// Grip-Sig is a JWT that expires; the same one is used for a minute.
func TestSig(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, err := NewKey([]byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		first := k.Sig()
		if want := signed(jwtHeader, fmt.Sprintf(`{"iss":"sluice","exp":%d}`, time.Now().Add(time.Hour).Unix()), secret); first != want {
			t.Errorf("%s, want %s", first, want)
		}
		time.Sleep(50 * time.Second)
		if k.Sig() != first {
			t.Error("it is another one after 50 s")
		}
		time.Sleep(20 * time.Second)
		if k.Sig() == first {
			t.Error("it is the same one after 70 s")
		}
	})
}
