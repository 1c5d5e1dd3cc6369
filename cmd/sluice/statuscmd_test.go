package main

import (
	"reflect"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/watch"
)

// What sluice status reads is what /status.json has.
func TestStatusNames(t *testing.T) {
	compareNames(t, "", reflect.TypeFor[watch.State](), reflect.TypeFor[struct {
		snapshots
		applicationSnapshot
	}]())
	for f := range reflect.TypeFor[snapshot]().Fields() { // the same in one piece
		if _, found := reflect.TypeFor[applicationSnapshot]().FieldByName(f.Name); !found && f.Name != "Front" {
			t.Errorf("%s is in the state of one application, and not of several", f.Name)
		}
	}
}

func compareNames(t *testing.T, path string, read, served reflect.Type) {
	for read.Kind() == reflect.Pointer || read.Kind() == reflect.Slice || read.Kind() == reflect.Map {
		read = read.Elem()
		for served.Kind() == reflect.Pointer {
			served = served.Elem()
		}
		if served.Kind() == reflect.Slice || served.Kind() == reflect.Map {
			served = served.Elem()
		}
	}
	if read.Kind() != reflect.Struct || read.PkgPath() == "time" || path != "" && read == reflect.TypeFor[watch.State]() {
		return
	}
	names := make(map[string]reflect.Type)
	for _, f := range reflect.VisibleFields(served) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names[name] = f.Type
	}
	for f := range read.Fields() {
		name := f.Tag.Get("json")
		served, found := names[name]
		if !found {
			t.Errorf("%s.%s is not in the status", path, name)
			continue
		}
		compareNames(t, path+"."+name, f.Type, served)
	}
}
