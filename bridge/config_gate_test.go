package bridge

import (
	"cmp"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/internal/classify"
)

// gateOf is what the gate is told, for cfg.
func gateOf(t *testing.T, cfg Config) admission.Config {
	t.Helper()
	if cfg.Backends == nil && cfg.Spawn == nil {
		cfg.Backends = []string{"unix:/run/app.sock"}
	}
	if _, err := cfg.complete(); err != nil {
		t.Fatal(err)
	}
	return gate(&cfg.ApplicationConfig)
}

// Only the workers must be known: the gate gets its own defaults for all instances'.
func TestGateDefaults(t *testing.T) {
	for _, workers := range []int{1, 2, 3, 4, 5, 8, 16, 100} {
		for _, backends := range [][]string{{"unix:/a"}, {"unix:/a", "unix:/b", "unix:/c"}} {
			got, want := gateOf(t, Config{ApplicationConfig: ApplicationConfig{Workers: workers, Backends: backends}}), admission.Defaults(workers*len(backends))
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
	const text = `{"backends":["unix:/a"],"workers":10,"lanes":"on","long_poll":["/poll*"],"reserve":0,` +
		`"queue":{"size":1,"long_size":2,"timeout":"3ms","long_timeout":"4ms","poll_answer":{"status":200,"content_type":"application/json","body":"[]"}},` +
		`"client":{"key":"cookie sid","limit":9,"max_addresses":3,"per":"5m0s","excess":"evict"},` +
		`"admission":{"long_after":"6ms","stall_after":"7ms","wait_target":"8ms","unknown":9,"long_min":10,"client_rate":1.5,"client_burst":2.5,"spent_limit":8}}`
	var read config.Config
	if err := json.Unmarshal([]byte(text), &read); err != nil {
		t.Fatal(err)
	}
	c := Config{ApplicationConfig: read.Application, SiteConfig: read.Site}
	want := admission.Config{
		Workers: 10, Lanes: true, Reserve: 0, Unknown: 9, LongMin: 10,
		LongAfter: 6 * time.Millisecond, StallAfter: 7 * time.Millisecond, WaitTarget: 8 * time.Millisecond,
		Size: 1, LongSize: 2, Timeout: 3 * time.Millisecond, LongTimeout: 4 * time.Millisecond,
		ClientLimit: 9, SpentLimit: 8, ClientRate: 1.5, ClientBurst: 2.5,
		Routes: 4096, Clients: 4096,
	}
	if got := gateOf(t, c); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if _, err := admission.New(want); err != nil {
		t.Error(err)
	}
	b, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	source, err := classify.ParseKeySource("cookie sid")
	if err != nil {
		t.Fatal(err)
	}
	if s := b.sharing; s.most != 3 || s.per != 5*time.Minute || !s.evict || b.cfg.keySource != source {
		t.Errorf("sharing %+v, client keys from %+v", s, b.cfg.keySource)
	}
}

// What follows from other settings does.
func TestGateSettingsThatFollow(t *testing.T) {
	got := gateOf(t, Config{ApplicationConfig: ApplicationConfig{Workers: 16, Reserve: new(15), ClientLimit: 1}})
	if got.LongMin != 1 || got.SpentLimit != 1 || got.ClientLimit != 1 {
		t.Errorf("%+v", got)
	}
	got = gateOf(t, Config{ApplicationConfig: ApplicationConfig{Workers: 4, Reserve: new(0), ClientLimit: 100}})
	if got.LongMin != 0 || got.ClientLimit != 4 || got.SpentLimit != 1 {
		t.Errorf("%+v", got)
	}
	c := Config{ApplicationConfig: ApplicationConfig{Workers: 4}, SiteConfig: SiteConfig{Client: ClientConfig{MaxAddresses: 1, Key: "user"}}}
	if gateOf(t, c); c.Client.Per != 0 {
		t.Error("the caller's configuration was changed")
	}
}

// An error begins with the key, and says what is wanted.
func TestBadGateConfig(t *testing.T) {
	for _, c := range []struct {
		begin string
		cfg   Config
	}{
		{`lanes: is "maybe", want on or off`, Config{ApplicationConfig: ApplicationConfig{Lanes: "maybe"}}},
		{`lanes: is "auto", want on or off`, Config{ApplicationConfig: ApplicationConfig{Lanes: Auto}}},
		{"long_poll:", Config{SiteConfig: SiteConfig{LongPoll: []string{"/poll", "poll"}}}},
		{"long_poll:", Config{SiteConfig: SiteConfig{LongPoll: []string{"/poll?wait=1"}}}},
		{"long_poll:", Config{SiteConfig: SiteConfig{LongPoll: []string{""}}}},
		{`long_poll: "/a%20b": can match nothing`, Config{SiteConfig: SiteConfig{LongPoll: []string{"/a%20b"}}}},
		{`long_poll: "/data/poll": can match nothing, hide`, Config{SiteConfig: SiteConfig{Hide: []string{"/data"}, LongPoll: []string{"/database", "/data*", "*", "/data/poll"}}}},
		{`long_poll: "/data/x*": can match nothing, hide`, Config{SiteConfig: SiteConfig{Hide: []string{"/data"}, LongPoll: []string{"/data/x*"}}}},
		{`long_poll: "/wiki/data/x": can match nothing, hide`, Config{SiteConfig: SiteConfig{Mount: "/wiki", Hide: []string{"/data"}, LongPoll: []string{"/wiki/data/x"}}}},
		{"reserve: is -1, want 0 to 3", Config{ApplicationConfig: ApplicationConfig{Reserve: new(-1)}}},
		{"reserve: is 4, want 0 to 3", Config{ApplicationConfig: ApplicationConfig{Reserve: new(4)}}},
		{"queue.size:", Config{ApplicationConfig: ApplicationConfig{Queue: QueueConfig{Size: -1}}}},
		{"queue.long_size:", Config{ApplicationConfig: ApplicationConfig{Queue: QueueConfig{LongSize: -1}}}},
		{"queue.timeout:", Config{ApplicationConfig: ApplicationConfig{Queue: QueueConfig{Timeout: -1}}}},
		{"queue.long_timeout:", Config{ApplicationConfig: ApplicationConfig{Queue: QueueConfig{LongTimeout: -1}}}},
		{"queue.poll_answer.status: is not set", Config{SiteConfig: SiteConfig{PollAnswer: PollAnswer{Body: "[]"}}}},
		{"queue.poll_answer.status: is not set", Config{SiteConfig: SiteConfig{PollAnswer: PollAnswer{ContentType: "text/plain"}}}},
		{"queue.poll_answer.status: is 100, want 200 to 599", Config{SiteConfig: SiteConfig{PollAnswer: PollAnswer{Status: 100}}}},
		{"queue.poll_answer.body:", Config{SiteConfig: SiteConfig{PollAnswer: PollAnswer{Status: 204, Body: "[]"}}}},
		{"queue.poll_answer.content_type:", Config{SiteConfig: SiteConfig{PollAnswer: PollAnswer{Status: 200, ContentType: "a\r\nb"}}}},
		{"client.key:", Config{SiteConfig: SiteConfig{Client: ClientConfig{Key: "ip"}}}},
		{"client.limit:", Config{ApplicationConfig: ApplicationConfig{ClientLimit: -1}}},
		{"client.max_addresses:", Config{SiteConfig: SiteConfig{Client: ClientConfig{MaxAddresses: -1}}}},
		{"client.per: means nothing without", Config{SiteConfig: SiteConfig{Client: ClientConfig{Per: Duration(time.Minute)}}}},
		{"client.excess: means nothing without", Config{SiteConfig: SiteConfig{Client: ClientConfig{Excess: Evict}}}},
		{`client.max_addresses: client.key is "auto"`, Config{SiteConfig: SiteConfig{Client: ClientConfig{MaxAddresses: 1}}}},
		{"long_poll: means nothing in a plain queue", Config{ApplicationConfig: ApplicationConfig{Lanes: Off}, SiteConfig: SiteConfig{LongPoll: []string{"/poll"}}}},
		{"reserve: means nothing in a plain queue", Config{ApplicationConfig: ApplicationConfig{Lanes: Off, Reserve: new(1)}}},
		{"client.limit: means nothing in a plain queue", Config{ApplicationConfig: ApplicationConfig{Lanes: Off, ClientLimit: 1}}},
		{"client.max_addresses:", Config{SiteConfig: SiteConfig{Client: ClientConfig{MaxAddresses: 1, Key: "client"}}}},
		{"client.max_addresses:", Config{SiteConfig: SiteConfig{Client: ClientConfig{MaxAddresses: 1, Key: "off"}}}},
		{"client.per:", Config{SiteConfig: SiteConfig{Client: ClientConfig{MaxAddresses: 1, Key: "user", Per: -1}}}},
		{`client.excess: is "kill", want refuse or evict`, Config{SiteConfig: SiteConfig{Client: ClientConfig{MaxAddresses: 1, Key: "user", Excess: "kill"}}}},
		{"admission.long_after:", Config{ApplicationConfig: ApplicationConfig{Admission: AdmissionConfig{LongAfter: -1}}}},
		{"admission.stall_after:", Config{ApplicationConfig: ApplicationConfig{Admission: AdmissionConfig{StallAfter: -1}}}},
		{"admission.wait_target:", Config{ApplicationConfig: ApplicationConfig{Admission: AdmissionConfig{WaitTarget: -1}}}},
		{"admission.unknown:", Config{ApplicationConfig: ApplicationConfig{Admission: AdmissionConfig{Unknown: -1}}}},
		{"admission.unknown:", Config{ApplicationConfig: ApplicationConfig{Admission: AdmissionConfig{Unknown: 5}}}},
		{"admission.long_min:", Config{ApplicationConfig: ApplicationConfig{Admission: AdmissionConfig{LongMin: new(-1)}}}},
		{"admission.long_min: is 3, want 0 to 2", Config{ApplicationConfig: ApplicationConfig{Admission: AdmissionConfig{LongMin: new(3)}}}},
		{"admission.client_rate:", Config{ApplicationConfig: ApplicationConfig{Admission: AdmissionConfig{ClientRate: -1}}}},
		{"admission.client_rate:", Config{ApplicationConfig: ApplicationConfig{Admission: AdmissionConfig{ClientRate: math.NaN()}}}},
		{"admission.client_burst:", Config{ApplicationConfig: ApplicationConfig{Admission: AdmissionConfig{ClientBurst: -1}}}},
		{"admission.client_burst:", Config{ApplicationConfig: ApplicationConfig{Admission: AdmissionConfig{ClientBurst: math.Inf(1)}}}},
		{"admission.spent_limit:", Config{ApplicationConfig: ApplicationConfig{Admission: AdmissionConfig{SpentLimit: -1}}}},
		{"admission.spent_limit: is 3, want at most client.limit", Config{ApplicationConfig: ApplicationConfig{Admission: AdmissionConfig{SpentLimit: 3}}}},
		{"reserve: is 1, want 0: there is one worker", Config{ApplicationConfig: ApplicationConfig{Workers: 1, Reserve: new(1)}}},
	} {
		c.cfg.Backends, c.cfg.Workers = []string{"unix:/run/app.sock"}, cmp.Or(c.cfg.Workers, 4)
		b, err := New(c.cfg)
		if err == nil {
			b.Close()
			t.Errorf("%s: no error", c.begin)
			continue
		}
		if !strings.HasPrefix(err.Error(), c.begin) {
			t.Errorf("error %q does not begin with %q", err, c.begin)
		}
	}
}
