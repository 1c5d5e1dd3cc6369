package pool

import (
	"time"

	"github.com/sluice-proxy/sluice/bridge/upstream/fastcgi"
)

// Tests say in FastCGI records what is sent, to the byte.

// codec is the protocol of the pools in tests.
var codec = fastcgi.Codec{}

// beginLen is the size of a BEGIN_REQUEST record.
const beginLen = 16

// Write is Begin for the first records of a request, and Body for others.
func (l *Lease) Write(records []byte) error {
	if l.sentAt.IsZero() {
		return l.begin(nil, records, beginLen, false)
	}
	return l.write(records, time.Now(), false)
}

// SendDone is for a request that was written whole.
func (l *Lease) SendDone() {
	l.mu.Lock()
	l.sent = true
	l.mu.Unlock()
}

// RequestID is the id that the records must have.
func (l *Lease) RequestID() uint16 { return l.id }

// KeepConn reports whether FCGI_KEEP_CONN is to be set.
func (l *Lease) KeepConn() bool { return !l.noKeepAlive }
