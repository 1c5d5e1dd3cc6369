package blocking

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// An interrupt between two reads ends the next one: it must not wait for a client
// that has nothing more to say.
func TestClientReaderInterruptedBetweenReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := fcgitest.Pipe()
		defer near.Close()
		defer far.Close()
		w := &deadlineWriter{ResponseWriter: httptest.NewRecorder(), set: near.SetReadDeadline}
		c := &clientReader{body: near, rc: http.NewResponseController(w), timeout: time.Minute, length: 100}
		if _, err := far.Write([]byte("some")); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 100)); n != 4 || err != nil {
			t.Fatalf("Read = %d, %v", n, err)
		}
		c.interrupt()
		started := time.Now()
		if n, err := c.Read(make([]byte, 100)); n != 0 || err == nil {
			t.Errorf("Read = %d, %v, want an error", n, err)
		}
		if d := time.Since(started); d != 0 {
			t.Errorf("Read waited for %v", d)
		}
	})
}

// deadlineWriter passes read deadlines on.
type deadlineWriter struct {
	http.ResponseWriter
	set func(time.Time) error
}

func (w *deadlineWriter) SetReadDeadline(t time.Time) error { return w.set(t) }
