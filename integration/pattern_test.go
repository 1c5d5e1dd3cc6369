//go:build linux

package integration

import (
	"bytes"
	"fmt"
	"io"
	"testing"
)

// pattern is one block of /download.
func pattern() []byte {
	block := make([]byte, 64<<10)
	for i := range block {
		block[i] = byte(i*31 + i>>8)
	}
	return block
}

// patternReader reads the pattern over and over. Comparing with it costs less
// than a hash, which matters where a test moves a gigabyte.
type patternReader struct {
	block []byte
	at    int
}

func newPatternReader() *patternReader { return &patternReader{block: pattern()} }

func (r *patternReader) Read(p []byte) (int, error) {
	n := copy(p, r.block[r.at:])
	r.at = (r.at + n) % len(r.block)
	return n, nil
}

// patternChecker is a writer that takes nothing but the pattern.
type patternChecker struct {
	patternReader
	n int64
}

func newPatternChecker() *patternChecker {
	return &patternChecker{patternReader: patternReader{block: pattern()}}
}

func (c *patternChecker) Write(p []byte) (int, error) {
	for done := 0; done < len(p); {
		want := c.block[c.at:]
		got := p[done:min(len(p), done+len(want))]
		if !bytes.Equal(got, want[:len(got)]) {
			return done, fmt.Errorf("the bytes from %d on are not the pattern's", c.n)
		}
		done += len(got)
		c.n += int64(len(got))
		c.at = (c.at + len(got)) % len(c.block)
	}
	return len(p), nil
}

// wantPattern reads the n bytes of a /download.
func wantPattern(t testing.TB, body io.Reader, n int64) {
	t.Helper()
	c := newPatternChecker()
	if _, err := io.Copy(c, body); err != nil || c.n != n {
		t.Errorf("read %d bytes of the pattern, want %d; error %v", c.n, n, err)
	}
}
