package config

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// asJSON returns the JSON of a config in which only the value at key is set: value is JSON.
func asJSON(key, value string) string {
	names := strings.Split(key, ".")
	for _, name := range slices.Backward(names) {
		value = `{"` + name + `":` + value + `}`
	}
	return value
}

// Every former key has the meaning of the present one, and the present one is told.
func TestFormerKeys(t *testing.T) {
	n := 0
	for _, s := range Settings {
		if s.Former == "" {
			continue
		}
		n++
		var want, got Config
		if err := s.Set(&want, sample(s)...); err != nil {
			t.Fatal(err)
		}
		value, err := json.Marshal(s.value(&want, false).Interface())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range s.Sets()[1:] { // the duration of a rate
			s.value(&want, false).SetZero()
		}
		if err := json.Unmarshal([]byte(asJSON(s.Former, string(value))), &got); err != nil {
			t.Errorf("%s: %v", s.Former, err)
		}
		if told := got.Written().Renamed(); len(told) != 1 || told[0] != s.Former+" is now called "+s.Key {
			t.Errorf("%s: told %q", s.Former, told)
		}
		err = got.Written().In(errors.New(s.Key + `: means nothing, "` + s.Key + `"`))
		if err.Error() != s.Former+`: means nothing, "`+s.Key+`"` {
			t.Errorf("%s: %v", s.Former, err)
		}
		if got.written = nil; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", s.Former, got, want)
		}
		if err := json.Unmarshal([]byte(asJSON(s.Key, string(value))), &got); err != nil || got.Written() != nil {
			t.Errorf("%s: %v, %v", s.Key, err, got.Written().Renamed())
		}
		if slices.Contains(Names(""), strings.Split(s.Former, ".")[0]) && !strings.HasPrefix(s.Former, "admission.") {
			t.Errorf("%s is proposed", s.Former)
		}
	}
	if n == 0 {
		t.Error("no setting has a former key")
	}
}

func TestFormerKeyErrors(t *testing.T) {
	for text, want := range map[string]string{
		`{"client":{"limit":5},"flow":{"limit":5}}`:       "flow.limit: is the former name of client.limit, which is given as well",
		`{"admission":{"client_rate":1,"flow_rate":1}}`:   "admission.flow_rate: is the former name of admission.client_rate, which is given as well",
		`{"flow":{"limit":"many"}}`:                       "flow.limit: is a string, want a whole number",
		`{"flow":{"kye":"user"}}`:                         "flow.kye: unrecognized key 'kye', did you mean 'key'?",
		`{"flow":{"colour":"red"}}`:                       "flow.colour: unrecognized key 'colour', want one of: excess, key, limit, max_addresses, per",
		`{"flow":5}`:                                      "flow: want an object",
		`{"client":{"key":"user","per":"1s"},"floww":{}}`: "floww: unrecognized key 'floww', want one of:",
	} {
		if err := json.Unmarshal([]byte(text), new(Config)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestWritten(t *testing.T) {
	key, limit, workers := Lookup("client.key"), Lookup("client.limit"), Lookup("workers")
	if Lookup("flow.key") != key {
		t.Error("a former key is not found")
	}
	var w Written
	for _, c := range []struct {
		s    *Setting
		name string
		want string
	}{
		{key, "--flow-key", ""},
		{key, "--flow-key", ""}, // a flag may be given again
		{key, "--client-key", "is given, and so is --flow-key, its former name"},
		{limit, "--client-limit", ""},
		{limit, "--flow-limit", "is the former name of --client-limit, which is given as well"},
		{workers, "--workers", ""},
	} {
		if err := w.Add(c.s, c.name); (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	if told := w.Renamed(); !slices.Equal(told, []string{"--flow-key is now called --client-key"}) {
		t.Errorf("told %q", told)
	}
	cause := errors.New("--client-key-x, --client-key and --client-limit")
	if err := w.In(cause); err.Error() != "--client-key-x, --flow-key and --client-limit" || !errors.Is(err, cause) {
		t.Error(err)
	}
	if err := (*Written)(nil).In(cause); err != cause || w.In(nil) != nil {
		t.Error(err)
	}
}
