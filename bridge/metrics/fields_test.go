package metrics

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
)

// notExported are the fields of a snapshot that have no metric, and the reasons.
var notExported = map[string]string{
	"Gate.Waiting":                 "the sum of the lanes'",
	"Gate.Stall.Held":              "paths and client keys",
	"Gate.Routes":                  "routes: there may be thousands",
	"Gate.ClientKeys":              "client keys: there may be thousands",
	"Pool.Instances.KeepAliveWhy":  "text",
	"Pool.Instances.LastError":     "text",
	"Authorizer.Addr":              "text",
	"Authorizer.State":             "of a second application: its failures are counted",
	"Authorizer.LastError":         "text",
	"Fleet.Name":                   "text",
	"Fleet.Error":                  "text",
	"Fleet.Key":                    "text",
	"Processes.Command":            "text",
	"Processes.Budget.Stop":        "configuration",
	"Processes.CrashLoop.Exits":    "text",
	"Processes.Concurrency.Seen":   "of a look now and then",
	"Processes.Concurrency.Advice": "text",
	"Processes.Suspects.Route":     "routes",
	"Processes.Suspects.Exits":     "of a route",
	"Processes.Suspects.Answered":  "of a route",
	"Processes.Instances.LastExit": "text",
	"Processes.Instances.Lines":    "text",
}

// TestEveryField sets each field of a snapshot to zero in turn. Then the metrics must change,
// unless the field is in notExported: then they must not.
func TestEveryField(t *testing.T) {
	full := literal()
	before := scrape(t, New(of(full), Options{}))
	var paths []string
	values(t, reflect.ValueOf(&full), "", func(path string, v reflect.Value) {
		paths = append(paths, path)
		if v.IsZero() {
			t.Errorf("%s is zero in the literal snapshot: give it a value", path)
		}
	})
	excluded := map[string]bool{}
	for i, path := range paths {
		var s bridge.Snapshot = literal()
		n := 0
		values(t, reflect.ValueOf(&s), "", func(_ string, v reflect.Value) {
			if n == i {
				v.SetZero()
			}
			n++
		})
		changed := scrape(t, New(of(s), Options{})) != before
		exclusion := excluding(path)
		excluded[exclusion] = true
		switch {
		case exclusion == "" && !changed:
			t.Errorf("%s is in no metric, and not excluded", path)
		case exclusion != "" && changed:
			t.Errorf("%s is excluded (%s), and shows", path, notExported[exclusion])
		}
	}
	for path := range notExported {
		if !excluded[path] {
			t.Errorf("%s is excluded, and there is no such field", path)
		}
	}
}

// excluding returns the key of notExported that covers path.
func excluding(path string) string {
	for e := range notExported {
		if path == e || strings.HasPrefix(path, e+".") {
			return e
		}
	}
	return ""
}

// values calls visit for every value that v consists of, always in the same order.
func values(t *testing.T, v reflect.Value, path string, visit func(string, reflect.Value)) {
	t.Helper()
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		visit(path, v)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			values(t, v.Field(i), strings.TrimPrefix(path+"."+v.Type().Field(i).Name, "."), visit)
		}
	case v.Kind() == reflect.Pointer && !v.IsNil():
		values(t, v.Elem(), path, visit)
	case v.Kind() == reflect.Slice && v.Len() > 0:
		for i := range v.Len() {
			values(t, v.Index(i), path, visit)
		}
	case v.Kind() == reflect.Map && v.Len() > 0:
		keys := slices.SortedFunc(maps.Keys(elements(v)), strings.Compare)
		for _, k := range keys {
			e := reflect.New(v.Type().Elem()).Elem() // an element of a map cannot be set
			e.Set(v.MapIndex(reflect.ValueOf(k)))
			values(t, e, path, visit)
			v.SetMapIndex(reflect.ValueOf(k), e)
		}
	default:
		visit(path, v) // empty: as if zero
	}
}

func elements(v reflect.Value) map[string]reflect.Value {
	all := map[string]reflect.Value{}
	for _, k := range v.MapKeys() {
		all[k.String()] = v.MapIndex(k)
	}
	return all
}
