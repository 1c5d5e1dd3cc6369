package grip

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// MinKey is the shortest key that is taken, in bytes.
const MinKey = 16

const (
	// sigLife is how long a signature is good for, and sigAge how long it is used: an application
	// that compares times has this much less of it at least.
	sigLife = time.Hour
	sigAge  = time.Minute
	// skew is how far clocks of publishers may be off.
	skew = time.Minute
)

// Key signs requests, and checks who publishes.
type Key struct {
	secret []byte
	sig    atomic.Pointer[signature]
}

type signature struct {
	text string
	at   time.Time
}

// NewKey returns a Key of what a file holds: white space around it does not count.
func NewKey(text []byte) (*Key, error) {
	secret := []byte(strings.TrimSpace(string(text)))
	if len(secret) < MinKey {
		return nil, fmt.Errorf("the key has %d bytes, want %d at least, such as those of: openssl rand -hex 32", len(secret), MinKey)
	}
	return &Key{secret: secret}, nil
}

// jwtHeader is the header of what this program signs.
const jwtHeader = `{"alg":"HS256","typ":"JWT"}`

var encoding = base64.RawURLEncoding

// Sig returns the Grip-Sig field: a JWT (RFC 7519), signed with HS256, that expires after an hour.
func (k *Key) Sig() string {
	now := time.Now()
	if s := k.sig.Load(); s != nil && now.Sub(s.at) < sigAge && !now.Before(s.at) {
		return s.text
	}
	claims := fmt.Sprintf(`{"iss":"sluice","exp":%d}`, now.Add(sigLife).Unix())
	text := encoding.EncodeToString([]byte(jwtHeader)) + "." + encoding.EncodeToString([]byte(claims))
	text += "." + encoding.EncodeToString(k.mac(text))
	k.sig.Store(&signature{text, now})
	return text
}

func (k *Key) mac(text string) []byte {
	m := hmac.New(sha256.New, k.secret)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// ErrToken is why somebody may not publish.
var ErrToken = errors.New("want an Authorization field with Bearer and the key of hold.key_file, or a JWT that is signed with it by HS256 and has not expired")

// Permits returns nil if an Authorization field is that of somebody who knows the key.
func (k *Key) Permits(authorization string, now time.Time) error {
	scheme, token, _ := strings.Cut(authorization, " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return ErrToken
	}
	if subtle.ConstantTimeCompare([]byte(token), k.secret) == 1 {
		return nil
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ErrToken
	}
	given, err := encoding.DecodeString(parts[2])
	if err != nil || !hmac.Equal(given, k.mac(parts[0]+"."+parts[1])) {
		return ErrToken
	}
	var header struct {
		Alg string `json:"alg"`
	}
	var claims struct {
		Exp *float64 `json:"exp"`
		Nbf *float64 `json:"nbf"`
	}
	if decode(parts[0], &header) != nil || header.Alg != "HS256" || decode(parts[1], &claims) != nil || claims.Exp == nil {
		return ErrToken
	}
	at := float64(now.Unix())
	if at > *claims.Exp+skew.Seconds() || claims.Nbf != nil && at < *claims.Nbf-skew.Seconds() {
		return ErrToken
	}
	return nil
}

func decode(part string, to any) error {
	text, err := encoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, to)
}
