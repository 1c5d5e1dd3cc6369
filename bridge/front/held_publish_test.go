//go:build linux

package front_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// What is published for several applications is published for all that have the key, or for none: a
// publisher who is refused tries again, and nobody gets it twice. An engine that is away concerns its own
// application alone.
func TestPublishForSeveral(t *testing.T) {
	slow := newHoldRig(t, says, func(c *bridge.Config) { c.Hold.PublishRate = 1 })
	away := newHoldRig(t, says, func(c *bridge.Config) {
		c.Fleet = config.Fleet{Engine: "redis://127.0.0.1:1", Application: "away", Name: "one", Gates: 1}
	})
	usual := newHoldRig(t, says, nil)
	publish := func(rigs ...*rig) int {
		body, err := json.Marshal(map[string]any{"items": []any{item("news", "new")}})
		if err != nil {
			t.Fatal(err)
		}
		req := httptest.NewRequest("POST", "/publish/", bytes.NewReader(body))
		req.Header.Set("Authorization", "Bearer "+holdKey)
		w := httptest.NewRecorder()
		bridge.PublishHandler(func() (list []*bridge.Application) {
			for _, r := range rigs {
				list = append(list, r.handler.Application())
			}
			return list
		}).ServeHTTP(w, req)
		return w.Code
	}
	published := func(r *rig) uint64 { return r.handler.Snapshot().Hold.Published }
	if code := publish(usual, slow); code != http.StatusOK || published(usual) != 1 || published(slow) != 1 {
		t.Fatalf("status %d, %d and %d were published", code, published(usual), published(slow))
	}
	if code := publish(usual, slow); code != http.StatusTooManyRequests || published(usual) != 1 {
		t.Errorf("status %d, and %d were published for the other application", code, published(usual))
	}
	if code := publish(away, usual); code != http.StatusBadGateway || published(away) != 1 || published(usual) != 2 {
		t.Errorf("status %d, %d and %d were published", code, published(away), published(usual))
	}
}
