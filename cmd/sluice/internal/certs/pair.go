package certs

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
)

// maxFile is the greatest size of a file in bytes.
const maxFile = 1 << 20

// Pair is a certificate with its key, from files.
type Pair struct {
	certificate, key string // the files
	stamps           [2]stamp
	sums             [2][sha256.Size]byte // of what is in the files
	loaded           *tls.Certificate
}

// stamp is what tells whether a file has changed.
type stamp struct {
	modified time.Time
	size     int64
	info     os.FileInfo
}

func (s stamp) equal(other stamp) bool {
	if s.info == nil || other.info == nil {
		return s.info == nil && other.info == nil
	}
	return s.modified.Equal(other.modified) && s.size == other.size && os.SameFile(s.info, other.info)
}

// FileError says what is wrong with a certificate's files.
type FileError struct {
	File  string
	OfKey bool // the file is the key's, which has a name of its own
	Err   error
}

func (e *FileError) Error() string { return e.File + ": " + e.Err.Error() }

func (e *FileError) Unwrap() error { return e.Err }

func newPair(certificate, key string) *Pair {
	return &Pair{certificate: certificate, key: cmp.Or(key, certificate)}
}

// read reads the files of p. What is in them is not parsed if former, which may be nil, has the same. The
// error is a *FileError.
func (p *Pair) read(former *Pair) (*Pair, error) {
	p.stamps = p.now()
	certificate := p.certificate
	chain, err := readFile(certificate)
	if err != nil {
		return nil, &FileError{certificate, false, err}
	}
	secret, ofKey := chain, p.key != certificate
	if ofKey {
		if secret, err = readFile(p.key); err != nil {
			return nil, &FileError{p.key, true, err}
		}
	}
	p.sums = [2][sha256.Size]byte{sha256.Sum256(chain), sha256.Sum256(secret)}
	if former != nil && former.sums == p.sums {
		p.loaded = former.loaded
		return p, nil
	}
	if !hasBlock(chain, isCertificate) {
		return nil, &FileError{certificate, false, errors.New("has no certificate in PEM (\"-----BEGIN CERTIFICATE-----\")")}
	}
	if !hasBlock(secret, isKey) {
		err := errors.New("has no key in PEM (\"-----BEGIN PRIVATE KEY-----\")")
		if !ofKey {
			err = fmt.Errorf("%w: name the key's file", err)
		}
		return nil, &FileError{p.key, ofKey, err}
	}
	loaded, err := tls.X509KeyPair(chain, secret)
	if err != nil {
		return nil, &FileError{p.key, ofKey, p.reason(err)}
	}
	p.loaded = &loaded
	return p, nil
}

// reason says what is wrong with files that were read.
func (p *Pair) reason(err error) error {
	text := strings.TrimPrefix(err.Error(), "tls: ")
	if strings.Contains(text, "does not match") {
		return fmt.Errorf("this key is not that of the certificate in %s, whose own certificate must be the first one there", p.certificate)
	}
	return errors.New(text)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		size := int64(0)
		if info, err := f.Stat(); err == nil {
			size = min(info.Size(), maxFile)
		}
		text := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
		if _, err = text.ReadFrom(io.LimitReader(f, maxFile)); err == nil {
			return text.Bytes(), nil
		}
	}
	if inner, ok := errors.AsType[*fs.PathError](err); ok {
		err = inner.Err
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w (let the user that Sluice runs as read it)", err)
	}
	return nil, err
}

func isCertificate(kind string) bool { return kind == "CERTIFICATE" }

func isKey(kind string) bool { return kind == "PRIVATE KEY" || strings.HasSuffix(kind, " PRIVATE KEY") }

// hasBlock reports whether a text in PEM has a block of a kind.
func hasBlock(text []byte, is func(kind string) bool) bool {
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return false
		}
		if is(block.Type) {
			return true
		}
		text = rest
	}
}

// now returns the present stamps of the files. One that is not there has none.
func (p *Pair) now() (stamps [2]stamp) {
	for i, path := range []string{p.certificate, p.key} {
		if info, err := os.Stat(path); err == nil {
			stamps[i] = stamp{info.ModTime(), info.Size(), info}
		}
	}
	return stamps
}

func equal(a, b [2]stamp) bool { return a[0].equal(b[0]) && a[1].equal(b[1]) }

// same reports whether two pairs are of the same files, and have the same certificate.
func (p *Pair) same(other *Pair) bool {
	return p.certificate == other.certificate && p.key == other.key && slices.EqualFunc(p.loaded.Certificate, other.loaded.Certificate, bytes.Equal)
}

// leaf is the certificate without its chain.
func (p *Pair) leaf() *x509.Certificate { return p.loaded.Leaf }

// File is the file with the certificate.
func (p *Pair) File() string { return p.certificate }

// ExpiresSoon is how long before its end a certificate is worth a warning.
const ExpiresSoon = 14 * 24 * time.Hour

// Warning says that the certificate is not valid yet, or not for long, "" if all is well.
func (p *Pair) Warning(now time.Time) string {
	switch leaf := p.leaf(); {
	case now.After(leaf.NotAfter):
		return fmt.Sprintf("the certificate in %s has expired on %s: browsers refuse it; renew it", p.certificate, day(leaf.NotAfter))
	case now.Add(ExpiresSoon).After(leaf.NotAfter):
		return fmt.Sprintf("the certificate in %s expires on %s: renew it", p.certificate, day(leaf.NotAfter))
	case now.Before(leaf.NotBefore):
		return fmt.Sprintf("the certificate in %s is not valid before %s: is the clock of this machine right?", p.certificate, day(leaf.NotBefore))
	}
	return ""
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// names are those that the certificate is for, in lower case.
func (p *Pair) names() (names []string) {
	leaf := p.leaf()
	for _, name := range leaf.DNSNames {
		names = append(names, strings.ToLower(name))
	}
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 && leaf.Subject.CommonName != "" {
		names = append(names, strings.ToLower(leaf.Subject.CommonName)) // browsers want more, others do not
	}
	return names
}

// Fits reports whether the certificate is for a host, or for a pattern such as *.example.org.
func (p *Pair) Fits(host string) bool {
	if pattern, ok := strings.CutPrefix(host, "*."); ok {
		host = "x." + pattern
	}
	return p.leaf().VerifyHostname(host) == nil
}
