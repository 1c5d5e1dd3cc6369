package accepted

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/pires/go-proxyproto"
)

// Lengths of headers (proxy-protocol.txt, sections 2.1 and 2.2).
const (
	signatureLen = len("\r\n\r\n\x00\r\nQUIT\n") // of version 2; every header of version 1 is longer
	fixedLen     = 16                            // of version 2, with the length of the rest
	maxLine      = 107                           // of version 1
	maxRest      = 4 << 10                       // of version 2, with TLVs, which may be certificates
)

var (
	signature = []byte("\r\n\r\n\x00\r\nQUIT\n")
	prefix    = []byte("PROXY ")
)

var errNoHeader = errors.New("it does not begin with a header of the PROXY protocol")

// addresses are those that a header tells.
type addresses struct{ remote, local net.Addr }

// readHeader reads a header and nothing after it. It returns nil if the header tells no addresses:
// the connection is the load balancer's own, such as a health check, or the client's are of a kind
// that is not known.
func readHeader(r io.Reader) (*addresses, error) {
	text, err := rawHeader(r)
	if err != nil || isUnspecified(text) {
		return nil, err
	}
	header, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(text)))
	if err != nil {
		return nil, err
	}
	remote, isTCP := header.SourceAddr.(*net.TCPAddr)
	local, _ := header.DestinationAddr.(*net.TCPAddr)
	if header.Command.IsLocal() || !isTCP || local == nil {
		return nil, nil
	}
	return &addresses{remote, local}, nil
}

// isUnspecified reports whether a header of version 2 is for a connection of a kind that the load balancer
// does not know (AF_UNSPEC), as UNKNOWN is in version 1. What follows is no address.
func isUnspecified(text []byte) bool {
	const versionAndProxy, familyMask = 0x21, 0xf0
	return bytes.HasPrefix(text, signature) && text[signatureLen] == versionAndProxy && text[signatureLen+1]&familyMask == 0
}

// rawHeader returns the bytes of a header.
func rawHeader(r io.Reader) ([]byte, error) {
	text := make([]byte, signatureLen, fixedLen+64)
	if n, err := io.ReadFull(r, text); err != nil {
		if n == 0 {
			return nil, io.EOF // most likely a check whether somebody listens
		}
		return nil, fmt.Errorf("%w: %w", errNoHeader, err)
	}
	switch {
	case bytes.Equal(text, signature):
		return rawVersion2(r, text)
	case bytes.HasPrefix(text, prefix):
		return rawVersion1(r, text)
	}
	return nil, errNoHeader
}

func rawVersion2(r io.Reader, text []byte) ([]byte, error) {
	text = text[:fixedLen]
	if _, err := io.ReadFull(r, text[signatureLen:]); err != nil {
		return nil, err
	}
	rest := int(binary.BigEndian.Uint16(text[fixedLen-2:]))
	if rest > maxRest {
		return nil, fmt.Errorf("the header has %d bytes, want %d at most", fixedLen+rest, fixedLen+maxRest)
	}
	whole := append(text, make([]byte, rest)...)
	_, err := io.ReadFull(r, whole[fixedLen:])
	return whole, err
}

// rawVersion1 reads a line. Its end is not known, so it reads single bytes.
func rawVersion1(r io.Reader, text []byte) ([]byte, error) {
	for text[len(text)-1] != '\n' {
		if len(text) == maxLine {
			return nil, fmt.Errorf("the header's line has more than %d bytes", maxLine)
		}
		text = append(text, 0)
		if _, err := io.ReadFull(r, text[len(text)-1:]); err != nil {
			return nil, err
		}
	}
	return text, nil
}
