package bridge

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// Uploads of every kind arrive whole, with a true CONTENT_LENGTH.
func TestUploads(t *testing.T) {
	for name, tc := range map[string]struct {
		buffering Switch
		size      int
		chunked   bool
	}{
		"small":           {On, 10, false},
		"in a file":       {On, 300_000, false},
		"chunked":         {On, 10, true},
		"chunked, large":  {On, 300_000, true},
		"chunked, empty":  {On, 0, true},
		"streamed":        {Off, 10, false},
		"streamed, large": {Off, 300_000, false},
		"off, chunked":    {Off, 300_000, true}, // spooled all the same: the length must be known
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{SiteConfig: SiteConfig{RequestBuffering: tc.buffering}}, fcgitest.Echo)
				text := strings.Repeat("0123456789", tc.size/10)
				req, err := http.NewRequest("POST", "http://app.test/", strings.NewReader(text))
				if err != nil {
					t.Fatal(err)
				}
				if tc.chunked {
					req.ContentLength, req.GetBody = -1, nil
				}
				re := r.send(req)
				first, body, _ := strings.Cut(re.body, "\n")
				if body != text || re.status != 200 || re.err != nil {
					t.Errorf("reply %d of %d bytes, %v, want %d bytes", re.status, len(body), re.err, len(text))
				}
				if got := strings.Fields(first)[2:]; tc.size > 0 && (len(got) != 1 || got[0] != strconv.Itoa(tc.size)) {
					t.Errorf("CONTENT_LENGTH %q, want %d", got, tc.size)
				}
				if o := r.outcome(); o.BytesIn != int64(tc.size) || o.BytesOut != int64(len(re.body)) {
					t.Errorf("%d bytes in, %d out, want %d, %d", o.BytesIn, o.BytesOut, tc.size, len(re.body))
				}
				r.wantKept(1)
			})
		})
	}
}
