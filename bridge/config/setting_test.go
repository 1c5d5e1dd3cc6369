package config

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// sample returns a value of s, as it is written, that is not the default.
func sample(s *Setting) []string {
	switch {
	case s.IsMap():
		return []string{"NAME", "value"}
	case s.IsList():
		return []string{"text"}
	case s.most == "19":
		return []string{"7"}
	case len(s.Words) > 0:
		return s.Words[len(s.Words)-1:]
	case s.per != "":
		return []string{"3", "per", "7m"}
	case s.Bytes:
		return []string{"3MiB"}
	}
	for _, text := range []string{"207", "7s", "7 per 8m", "022", "USR1", "text"} {
		if s.parse(reflect.New(s.typ).Elem(), text) == nil {
			return []string{text}
		}
	}
	return []string{"7"}
}

// Every declaration is complete and consistent. Flags are those of sluice serve, which has the first
// three structs; the settings of the others are declared in these, but for names.
func TestDeclarations(t *testing.T) {
	flags := make(map[string]string)
	for _, of := range []func() Holder{
		func() Holder { return new(Config) }, func() Holder { return new(Server) }, func() Holder { return new(FlagSite) },
		func() Holder { return new(NamedApplication) }, func() Holder { return new(HostedSite) },
	} {
		for _, s := range of().Schema().Settings {
			declared(t, s, of())
			_, isNamed := of().(*NamedApplication)
			_, isHosted := of().(*HostedSite)
			if other := flags[s.Flag]; s.Flag != "" && (other != "") != (isNamed || isHosted) {
				t.Errorf("%s and %s have the flag --%s", other, s.Key, s.Flag)
			}
			flags[s.Flag] = s.Key
		}
	}
}

// declared checks a declaration, and that c can be given its setting.
func declared(t *testing.T, s *Setting, c Holder) {
	t.Helper()
	if !regexp.MustCompile(`^[a-z]+(_[a-z]+)*(\.[a-z]+(_[a-z]+)*)*$`).MatchString(s.Key) {
		t.Errorf("%q is no key", s.Key)
	}
	if s.Doc == "" || strings.HasSuffix(s.Doc, ".") || s.Default != "" && s.Otherwise != "" {
		t.Errorf("%s: doc %q, default %q, otherwise %q", s.Key, s.Doc, s.Default, s.Otherwise)
	}
	if s.OfSite && s.Change != InPlace {
		t.Errorf("%s: a site is always a new one", s.Key)
	}
	for _, text := range []string{s.Doc, s.Otherwise} {
		_ = s.refer(text, func(other *Setting) string {
			if other == nil {
				t.Errorf("%s refers to what is no setting: %s", s.Key, text)
				return ""
			}
			return other.Key
		})
	}
	if err := s.Set(c, sample(s)...); err != nil {
		t.Errorf("%s: %q: %v", s.Key, sample(s), err)
	}
	if v := s.value(c, false); !v.IsValid() || v.IsZero() {
		t.Errorf("%s: %q sets nothing", s.Key, sample(s))
	}
	value, ok := s.Get(c)
	if undo := s.Unset(c); !ok {
		t.Errorf("%s has no value", s.Key)
	} else if _, ok := s.Get(c); ok {
		t.Errorf("%s has a value that was unset", s.Key)
	} else if undo(); !reflect.DeepEqual(got(s, c), value) {
		t.Errorf("%s is %v again, and was %v", s.Key, got(s, c), value)
	}
}

func got(s *Setting, c Holder) any {
	value, _ := s.Get(c)
	return value
}

// Of a server that runs, only what can change changes.
func TestKeep(t *testing.T) {
	for _, s := range serverSchema.Settings {
		var now, next Server
		if err := s.Set(&next, sample(s)...); err != nil {
			t.Fatal(err)
		}
		for _, c := range []*Server{&now, &next} {
			if err := c.Complete(); err != nil {
				t.Fatal(s.Key, err)
			}
		}
		wanted := next
		keys := next.Keep(&now)
		switch {
		case s.Change == Restart && (!slices.Equal(keys, []string{s.Key}) || !reflect.DeepEqual(next, now)):
			t.Errorf("%s: %q, and it is %+v", s.Key, keys, next)
		case s.Change != Restart && (len(keys) > 0 || !reflect.DeepEqual(next, wanted)):
			t.Errorf("%s cannot change", s.Key)
		}
	}
}

// Every setting can be set, encoded as JSON and decoded again, and no other setting changes by
// that, but the duration that is written with it.
func TestJSONOfEverySetting(t *testing.T) {
	for _, s := range Settings {
		var c, back Config
		if err := s.Set(&c, sample(s)...); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(c)
		if err != nil {
			t.Errorf("%s: %v", s.Key, err)
		}
		if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(c, back) {
			t.Errorf("%s: %v, %+v, %+v", s.Key, err, c, back)
		}
		_, name, _ := cutLast(s.Key)
		if keys := strings.Count(string(text), `":`) - strings.Count(s.Key, ".") - strings.Count(string(text), `"NAME":`); keys != 1 && s.per == "" || !strings.Contains(string(text), `"`+name+`":`) {
			t.Errorf("%s: %s", s.Key, text)
		}
	}
}

func TestJSON(t *testing.T) {
	const text = `{"backends":["unix:/run/app.sock"],"queue":{"poll_answer":{"status":204},"size":5,"timeout":"1.5s"},` +
		`"request_buffering":"off","timeouts":{"dial":"1m0s","first_byte":"2m0s"},"workers":16}`
	var c Config
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	if c.Queue.Size != 5 || c.PollAnswer.Status != 204 || c.Application.Timeouts.Dial == 0 || c.Site.Timeouts.FirstByte == 0 {
		t.Errorf("%+v", c)
	}
	if back, err := json.Marshal(c); err != nil || string(back) != text {
		t.Errorf("%s, %v, want %s", back, err, text)
	}
	if err := json.Unmarshal([]byte(`{"max_body":"20MiB","spawn":{}}`), &c); err != nil || c.MaxBody != 20<<20 || c.Spawn == nil || c.Queue.Size != 5 {
		t.Errorf("%v, %+v", err, c)
	}
}

// An error begins with the key, and says what was meant or is wanted.
func TestBadJSON(t *testing.T) {
	for text, want := range map[string]string{
		`{"queue":{"timeout":"soon"}}`:   `queue.timeout: "soon" is not a duration`,
		`{"queue":{"timeut":"1s"}}`:      `queue.timeut: unrecognized key 'timeut', did you mean 'timeout'?`,
		`{"worker":1}`:                   `worker: unrecognized key 'worker', did you mean 'workers'?`,
		`{"first_byte":"1s"}`:            `first_byte: unrecognized key 'first_byte', did you mean 'timeouts.first_byte'?`,
		`{"spool":{"colour":"1s"}}`:      `spool.colour: unrecognized key 'colour', want one of: buffer, dir, disk, memory`,
		`{"workers":"many"}`:             `workers: is a string, want a whole number`,
		`{"workers":1.5}`:                `workers: is a number 1.5, want a whole number`,
		`{"backends":"a:1"}`:             `backends: is a string, want a list of strings`,
		`{"timeouts":{"dial":3}}`:        `timeouts.dial: is a number, want a string`,
		`{"env":{"A":1}}`:                `env: is a number, want an object of strings`,
		`{"queue":5}`:                    `queue: want an object`,
		`{"queue":{"poll_answer":true}}`: `queue.poll_answer: want an object`,
		`{"max_body":"lots"}`:            `max_body: "lots" is not a size`,
		`{"spawn":{"umask":"8"}}`:        `spawn.umask: "8" is not a mask`,
	} {
		if err := json.Unmarshal([]byte(text), new(Config)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// Every setting in which two applications differ is reported by its key, and those that need
// another backend are.
func TestEveryDifference(t *testing.T) {
	for _, s := range Settings {
		if s.OfSite || s.Key == "backends" {
			continue
		}
		base := func() Config {
			return Config{Application: Application{Spawn: new(Spawn), Authorizer: new(Authorizer), Hold: new(Hold)}}
		}
		one, two := base(), base()
		if err := s.Set(&two, sample(s)...); err != nil {
			t.Fatal(err)
		}
		if err := one.Differs(&two.Application); err == nil || !strings.HasPrefix(err.Error(), s.Key+": ") {
			t.Errorf("%s: %v", s.Key, err)
		}
		if key := one.NeedsBackend(&two.Application); (key == s.Key) != (s.Change == Backend) || key != "" && key != s.Key {
			t.Errorf("%s: %q", s.Key, key)
		}
		if same := one.Identity() == two.Identity(); same == (s.Change == Processes || s.Key == "spawn.listen") {
			t.Errorf("%s: %s, %s", s.Key, one.Identity(), two.Identity())
		}
		if err := one.Differs(&one.Application); err != nil {
			t.Error(err)
		}
	}
}

func TestBadWords(t *testing.T) {
	for _, c := range []struct {
		key   string
		words []string
		want  string
	}{
		{"workers", nil, "want one value, have 0"},
		{"workers", []string{"4", "5"}, "want one value, have 2"},
		{"workers", []string{"four"}, `"four" is not a whole number`},
		{"workers", []string{"0"}, "is 0, want at least 1"},
		{"max_body", []string{"0"}, "must be more than 0"},
		{"max_body", []string{"99999999TiB"}, "is not a size"},
		{"max_params", []string{"-1"}, "is not a size"},
		{"timeouts.dial", []string{"0s"}, "must be more than 0"},
		{"admission.client_rate", []string{"0"}, "must be more than 0"},
		{"admission.client_rate", []string{"much"}, `"much" is not a number`},
		{"lanes", []string{""}, `is "", want on or off`},
		{"env", []string{"A"}, "want a name and a value, have 1 words"},
		{"hide", nil, "want a value"},
		{"client.key", nil, "want a value"},
		{"client.max_addresses", []string{"3"}, `want a number and a time, such as "3 per 10m"`},
		{"client.max_addresses", []string{"0", "per", "10m"}, "is 0, want at least 1"},
		{"client.max_addresses", []string{"3", "per", "0s"}, "must be more than 0"},
		{"spawn.open_files", []string{"0"}, `"0" is not a number above 0`},
		{"queue.poll_answer.status", []string{"0"}, "is 0, want 200 to 599"},
	} {
		if err := Lookup(c.key).Set(new(Config), c.words...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %q: %v, want %s", c.key, c.words, err, c.want)
		}
	}
	if err := Lookup("spawn.max_time").Set(new(Config), "0"); err != nil {
		t.Errorf("for ever: %v", err)
	}
	c := Config{Site: Site{Env: map[string]string{"A": "1"}}}
	if err := Lookup("env").Set(&c, "A", "2"); err == nil || err.Error() != "A is given twice" {
		t.Error(err)
	}
}

func TestUnknown(t *testing.T) {
	for _, c := range []struct {
		name, group string
		without     []string
		want        string
	}{
		{"worker", "", nil, "did you mean 'workers'?"},
		{"Keep-Alive", "", nil, "did you mean 'keep_alive'?"},
		{"resp", "", nil, "want one of: admission, app_root,"},
		{"resol", "", nil, "did you mean 'resolve_root_symlink'?"},
		{"docroot", "", nil, "did you mean 'root'?"},
		{"read_timeout", "", nil, "did you mean 'timeouts.first_byte'?"},
		{"user", "", nil, "did you mean 'spawn.user'?"},
		{"user", "", []string{"spawn"}, "did you mean 'user_header'?"},
		{"max_time", "", []string{"spawn"}, "want one of: admission, app_root,"},
		{"static", "", []string{"static"}, "want one of: admission, app_root,"},
		{"max_lifetime", "queue", nil, "did you mean 'spawn.max_lifetime'?"},
		{"timeout", "timeouts", nil, "did you mean 'queue.timeout'?"},
	} {
		if err := Unknown("option", c.name, c.group, c.without); !strings.HasPrefix(err.Error(), "unrecognized option '"+c.name+"', ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s in %q: %v, want %s", c.name, c.group, err, c.want)
		}
	}
}
