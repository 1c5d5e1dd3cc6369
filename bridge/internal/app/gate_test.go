package app

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// gateOf is what the gate is told, for cfg.
func gateOf(t *testing.T, cfg config.Application) admission.Config {
	t.Helper()
	if cfg.Backends == nil && cfg.Spawn == nil {
		cfg.Backends = []string{"unix:/run/app.sock"}
	}
	if err := Complete(&cfg); err != nil {
		t.Fatal(err)
	}
	return gate(&cfg)
}

// Only the workers must be known: the gate gets its own defaults for all instances'.
func TestGateDefaults(t *testing.T) {
	for _, workers := range []int{1, 2, 3, 4, 5, 8, 16, 100} {
		for _, backends := range [][]string{{"unix:/a"}, {"unix:/a", "unix:/b", "unix:/c"}} {
			got, want := gateOf(t, config.Application{Workers: workers, Backends: backends}), admission.Defaults(workers*len(backends))
			want.ClientLimit = min(want.ClientLimit, want.Workers) // more means nothing
			want.SpentLimit = min(want.SpentLimit, want.ClientLimit)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%d workers, %d backends: %+v, want %+v", workers, len(backends), got, want)
			}
			if _, err := admission.New(got); err != nil {
				t.Errorf("%d workers, %d backends: %v", workers, len(backends), err)
			}
		}
	}
}

// Every setting gets where it belongs.
func TestGateSettings(t *testing.T) {
	const text = `{"backends":["unix:/a"],"workers":10,"lanes":"on","long_poll":["/poll*"],"reserve":0,"max_upgraded":6,` +
		`"queue":{"size":1,"long_size":2,"timeout":"3ms","long_timeout":"4ms","poll_answer":{"status":200,"content_type":"application/json","body":"[]"}},` +
		`"client":{"key":"cookie sid","limit":9,"max_addresses":3,"per":"5m0s","excess":"evict"},` +
		`"admission":{"long_after":"6ms","stall_after":"7ms","wait_target":"8ms","unknown":9,"long_min":10,"client_rate":1.5,"client_burst":2.5,"spent_limit":8}}`
	var read config.Config
	if err := json.Unmarshal([]byte(text), &read); err != nil {
		t.Fatal(err)
	}
	want := admission.Config{
		Workers: 10, Lanes: true, Reserve: 0, MaxUpgraded: 6, Unknown: 9, LongMin: 10,
		LongAfter: 6 * time.Millisecond, StallAfter: 7 * time.Millisecond, WaitTarget: 8 * time.Millisecond,
		Size: 1, LongSize: 2, Timeout: 3 * time.Millisecond, LongTimeout: 4 * time.Millisecond,
		ClientLimit: 9, SpentLimit: 8, ClientRate: 1.5, ClientBurst: 2.5,
		Routes: 4096, Clients: 4096,
	}
	if got := gateOf(t, read.Application); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if _, err := admission.New(want); err != nil {
		t.Error(err)
	}
}

// What follows from other settings does.
func TestGateSettingsThatFollow(t *testing.T) {
	got := gateOf(t, config.Application{Workers: 16, Reserve: new(15), ClientLimit: 1})
	if got.LongMin != 1 || got.SpentLimit != 1 || got.ClientLimit != 1 {
		t.Errorf("%+v", got)
	}
	got = gateOf(t, config.Application{Workers: 4, Reserve: new(0), ClientLimit: 100})
	if got.LongMin != 0 || got.ClientLimit != 4 || got.SpentLimit != 1 {
		t.Errorf("%+v", got)
	}
}
