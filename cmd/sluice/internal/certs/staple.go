package certs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"
)

const (
	askFor        = 10 * time.Second // at most, a responder
	maxResponse   = 64 << 10         // bytes
	firstRetry    = time.Minute      // after a responder has not answered; twice as long each time,
	lastRetry     = time.Hour        // up to this
	clockSkew     = 5 * time.Minute  // by which a responder's clock may be ahead of ours
	withoutUpdate = 24 * time.Hour   // how long a response counts that does not say so itself
	keepStaples   = 30 * 24 * time.Hour
)

// staple is a response of OCSP (RFC 6960): what the issuer of a certificate says of it now.
type staple struct {
	raw     []byte
	status  int // of package ocsp
	renew   time.Time
	expires time.Time
	revoked time.Time
}

// stapling is what is known of a certificate's staple.
type stapling struct {
	has    *staple   // nil: none
	next   time.Time // when its responder is asked
	asking bool
	failed int  // tries since the last answer
	told   bool // the log says that there is no good answer
}

// parseStaple checks a response for a certificate.
func parseStaple(raw []byte, leaf, issuer *x509.Certificate, now time.Time) (*staple, error) {
	r, err := ocsp.ParseResponseForCert(raw, leaf, issuer)
	if err != nil {
		return nil, err
	}
	if c := r.Certificate; c != nil && !c.Equal(issuer) && !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) {
		return nil, fmt.Errorf("it is signed by %s, which may not (RFC 6960 section 4.2.2.2)", c.Subject)
	}
	s := &staple{raw: raw, status: r.Status, revoked: r.RevokedAt, expires: r.NextUpdate}
	if s.expires.IsZero() {
		s.expires = r.ThisUpdate.Add(withoutUpdate)
	}
	if c := r.Certificate; c != nil && c.NotAfter.Before(s.expires) {
		s.expires = c.NotAfter
	}
	switch {
	case r.ThisUpdate.After(now.Add(clockSkew)):
		return nil, fmt.Errorf("it is of %s, which is to come: is the clock of this machine right?", day(r.ThisUpdate))
	case !now.Before(s.expires):
		return nil, fmt.Errorf("it is valid until %s only", day(s.expires))
	}
	s.renew = r.ThisUpdate.Add(s.expires.Sub(r.ThisUpdate) / 2)
	return s, nil
}

// responder returns whom to ask about the certificate, and its issuer. "": it names nobody, or the issuer's
// certificate, by which the answer is checked, is not in the file.
func (p *Pair) responder() (url string, issuer *x509.Certificate) {
	leaf := p.leaf()
	if len(leaf.OCSPServer) == 0 || len(p.loaded.Certificate) < 2 {
		return "", nil
	}
	issuer, err := x509.ParseCertificate(p.loaded.Certificate[1])
	if err != nil || leaf.CheckSignatureFrom(issuer) != nil {
		return "", nil
	}
	return leaf.OCSPServer[0], issuer
}

var tlsFeature = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24} // RFC 7633

// mustStaple reports whether clients refuse the certificate without a staple.
func (p *Pair) mustStaple() bool {
	for _, e := range p.leaf().Extensions {
		var features []int
		if e.Id.Equal(tlsFeature) {
			_, err := asn1.Unmarshal(e.Value, &features)
			return err == nil && slices.Contains(features, 5) // status_request
		}
	}
	return false
}

// setStaple has handshakes send a response, nil: none. Those that have begun keep what they have.
func (p *Pair) setStaple(s *staple) {
	loaded := *p.loaded
	if loaded.OCSPStaple = nil; s != nil && s.status == ocsp.Good {
		loaded.OCSPStaple = s.raw
	}
	p.loaded = &loaded
}

// staple sees to it that the certificates in files have staples: it drops those that have expired, and begins
// to ask for new ones. It reports whether one has changed. s.changing is held.
func (s *Store) staple(now time.Time) (changed bool) {
	for _, w := range s.watched {
		if has := w.ocsp.has; has != nil && !now.Before(has.expires) {
			w.ocsp.has = nil
			w.setStaple(nil)
			changed = true
		}
		if w.ocsp.asking || now.Before(w.ocsp.next) || !now.Before(w.leaf().NotAfter) {
			continue
		}
		url, issuer := w.responder()
		if url == "" {
			s.withoutResponder(w)
			w.ocsp.next = w.leaf().NotAfter
			continue
		}
		if w.ocsp.next.IsZero() { // a former start may have asked
			if raw, err := os.ReadFile(s.stapleFile(w.Pair)); err == nil {
				if has, err := parseStaple(raw, w.leaf(), issuer, now); err == nil {
					w.ocsp.has, w.ocsp.next = has, has.renew
					w.setStaple(has)
					changed = true
				}
			}
			if now.Before(w.ocsp.next) {
				continue
			}
		}
		w.ocsp.asking = true
		pair, leaf := w.Pair, w.leaf() // the pair may change meanwhile
		s.stopped.Go(func() {
			has, err := s.ask(url, leaf, issuer)
			s.answered(w, pair, url, has, err)
		})
	}
	return changed
}

// ask asks a responder about a certificate.
func (s *Store) ask(url string, leaf, issuer *x509.Certificate) (*staple, error) {
	question, err := ocsp.CreateRequest(leaf, issuer, nil)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(s.ctx, askFor)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(question))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/ocsp-request")
	resp, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse+1))
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s answers with %s", url, resp.Status)
	case len(raw) > maxResponse:
		return nil, fmt.Errorf("%s answers with more than %d bytes", url, maxResponse)
	}
	return parseStaple(raw, leaf, issuer, time.Now())
}

// answered takes what a responder has said of a pair, unless w has another certificate by now.
func (s *Store) answered(w *watched, pair *Pair, url string, has *staple, err error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	if s.ctx.Err() != nil || !slices.Contains(s.watched, w) || !w.same(pair) {
		return
	}
	now := time.Now()
	w.ocsp.asking = false
	if err != nil {
		w.ocsp.next = now.Add(min(firstRetry<<min(w.ocsp.failed, 10), lastRetry))
		w.ocsp.failed++
		s.withoutAnswer(w, url, err)
		return
	}
	w.ocsp = stapling{has: has, next: has.renew, told: w.ocsp.told && has.status != ocsp.Good}
	if !has.renew.After(now) {
		w.ocsp.next = now.Add(firstRetry)
	}
	w.setStaple(has)
	s.table.Store(newTable(s.watched))
	if has.status != ocsp.Good {
		_ = os.Remove(s.stapleFile(w.Pair)) // there may be none
		s.notGood(w, has)
		return
	}
	if err := s.keepStaple(w.Pair, has); err != nil {
		s.log.Debug("an OCSP response is not kept for the next start", "error", err.Error())
	}
}

const ofStaple = "its issuer's responder is asked again by itself; see that this machine reaches it"

// withoutResponder says that a certificate needs a staple and cannot have one.
func (s *Store) withoutResponder(w *watched) {
	if w.mustStaple() && !w.ocsp.told {
		w.ocsp.told = true
		s.log.Warn("a certificate must have a stapled OCSP response, and there is none: clients refuse it", "file", w.certificate,
			"advice", "put the certificate of its issuer behind it in the file; if it names no responder, have one issued without must-staple")
	}
}

// withoutAnswer says, once until there is an answer, that a responder has given none, and once that there is no
// response any more.
func (s *Store) withoutAnswer(w *watched, url string, err error) {
	none := w.ocsp.has == nil
	if none && w.ocsp.told || !none && w.ocsp.failed > 1 {
		return
	}
	w.ocsp.told = none
	text, log := "there is no new OCSP response for a certificate", s.log.Info
	if none && w.mustStaple() {
		text, log = "a certificate must have a stapled OCSP response, and there is none: clients refuse it", s.log.Warn
	}
	log(text, "file", w.certificate, "responder", url, "error", err.Error(), "advice", ofStaple)
}

// notGood says that the issuer does not vouch for a certificate.
func (s *Store) notGood(w *watched, has *staple) {
	if w.ocsp.told {
		return
	}
	w.ocsp.told = true
	s.log.Error("a certificate's issuer does not vouch for it", "file", w.certificate, "ocsp", has.word(), "advice", "have a new certificate issued, and put it there; it is read by itself")
}

// word is the status, with the time of a revocation.
func (s *staple) word() string {
	switch s.status {
	case ocsp.Good:
		return "good"
	case ocsp.Revoked:
		return "revoked on " + day(s.revoked)
	}
	return "unknown to its issuer"
}

// problem says what is wrong with the certificate, for the state; "": nothing is.
func (o *stapling) problem(p *Pair) string {
	switch {
	case o.has != nil && o.has.status != ocsp.Good:
		return "OCSP: it is " + o.has.word()
	case o.has == nil && p.mustStaple():
		return "OCSP: there is no response, without which clients refuse it"
	}
	return ""
}

const stapleEnding = ".ocsp"

// stapleFile is where the response for a certificate is kept.
func (s *Store) stapleFile(p *Pair) string {
	sum := sha256.Sum256(p.leaf().Raw)
	return filepath.Join(s.staples, hex.EncodeToString(sum[:16])+stapleEnding)
}

// keepStaple writes a response for the next start, and removes those of certificates that are long gone.
func (s *Store) keepStaple(p *Pair, has *staple) error {
	if err := os.MkdirAll(s.staples, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(s.staples, "new-*"+stapleEnding)
	if err != nil {
		return err
	}
	_, err = f.Write(has.raw)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), s.stapleFile(p))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	entries, err := os.ReadDir(s.staples)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), stapleEnding) && time.Since(info.ModTime()) > keepStaples {
			_ = os.Remove(filepath.Join(s.staples, e.Name())) // another one may have
		}
	}
	return err
}
