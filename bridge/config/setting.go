package config

import (
	"encoding"
	"reflect"
	"slices"
	"strings"
)

// Config is an application and a site in front of it, as one document or command line says
// both. Its keys are those of Settings.
type Config struct {
	Application
	Site
}

// Change is what it takes for a setting to become another while requests run.
type Change string

// The values of a Change.
const (
	InPlace   Change = ""          // nothing
	Processes Change = "processes" // other processes; with another backend's they are another application
	Backend   Change = "backend"   // a backend of its own
)

// Setting is a field of an Application or of a Site, as its tags declare it.
type Setting struct {
	Key       string   // "timeouts.dial"
	Flag      string   // of sluice serve, "dial-timeout"; "": there is none
	OfSite    bool     // or of the application
	Doc       string   // what it is; {key} stands for another setting
	Value     string   // what stands for its value in Doc
	Words     []string // all values there are; nil: any
	Default   string   // what holds if it is not set; "": nothing, or what Otherwise says
	Otherwise string   // the same in words, if it depends on others or is known elsewhere
	Zero      string   // what 0 means; "": nothing, it must not be written
	Bytes     bool     // its number is of bytes
	Commas    bool     // its flag takes several values
	Change    Change

	least, most string
	phrase      bool   // its value may have several words
	per         string // key of the time that is written with it: "3 per 10m"

	in  []int // from a Config
	typ reflect.Type
}

// group is a field that has settings of its own.
type group struct {
	key       string
	arguments []string // keys of the settings that the words behind its name are for
}

// schema is what the declarations come to.
type schema struct {
	list   []*Setting
	byKey  map[string]*Setting
	groups map[string][]string // by key: the settings that the words behind a group's name are for
}

var declarations = declare()

// Settings are all there are, those of the application first, in the order of their
// declaration.
var Settings = declarations.list

func declare() *schema {
	d := &schema{byKey: make(map[string]*Setting), groups: make(map[string][]string)}
	d.add(reflect.TypeFor[Config](), "", "", nil)
	return d
}

// add adds the settings of a struct, whose keys begin with prefix. flags is what the names
// of their flags are like: "*-timeout".
func (d *schema) add(of reflect.Type, prefix, flags string, in []int) {
	for i := range of.NumField() {
		f, at := of.Field(i), append(slices.Clone(in), i)
		tag := f.Tag.Get
		switch typ := structOf(f.Type); {
		case f.Anonymous:
			d.add(f.Type, "", "", at)
			continue
		case typ != nil:
			key := prefix + tag("key")
			d.addGroup(key, strings.Fields(tag("args")))
			d.add(typ, key+".", tag("flag"), at)
			continue
		}
		s := &Setting{
			Key: prefix + tag("key"), Flag: flagName(tag("flag"), flags, prefix, tag("key")), OfSite: at[0] == 1, Doc: tag("doc"),
			Value: tag("value"), Words: strings.Fields(tag("words")), Default: tag("default"), Otherwise: tag("otherwise"), Zero: tag("zero"),
			Bytes: tag("unit") == "bytes", Commas: tag("commas") != "", Change: Change(tag("change")),
			least: tag("least"), most: tag("most"), phrase: tag("phrase") != "", per: tag("per"), in: at, typ: f.Type,
		}
		if len(s.Words) > 0 && s.Otherwise == "" {
			s.Default = s.Words[0]
		}
		if group, _, nested := cutLast(s.Key); nested {
			d.addGroup(group, nil)
		}
		d.list = append(d.list, s)
		d.byKey[s.Key] = s
	}
}

// structOf is the struct that a field, or what it points to, is; nil if it is a value.
func structOf(typ reflect.Type) reflect.Type {
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct || reflect.PointerTo(typ).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return nil
	}
	return typ
}

// addGroup adds a group, and those that it is in. arguments are names in it.
func (d *schema) addGroup(key string, arguments []string) {
	for _, name := range arguments {
		d.groups[key] = append(d.groups[key], key+"."+name)
	}
	for nested := true; nested; key, _, nested = cutLast(key) {
		d.groups[key] = d.groups[key]
	}
}

func flagName(own, pattern, prefix, key string) string {
	hyphens := strings.NewReplacer(".", "-", "_", "-").Replace
	switch {
	case own == "-":
		return ""
	case own != "":
		return own
	case pattern != "":
		return strings.Replace(pattern, "*", hyphens(key), 1)
	}
	return hyphens(prefix + key)
}

func cutLast(key string) (before, after string, found bool) {
	i := strings.LastIndexByte(key, '.')
	if i < 0 {
		return "", key, false
	}
	return key[:i], key[i+1:], true
}

// Lookup returns the setting with that key, nil if there is none.
func Lookup(key string) *Setting { return declarations.byKey[key] }

// Group reports whether keys begin with key and a dot. arguments are the settings that the
// words behind the name of the group are for, all of them for one that is a list.
func Group(key string) (arguments []*Setting, ok bool) {
	keys, ok := declarations.groups[key]
	for _, key := range keys {
		arguments = append(arguments, Lookup(key))
	}
	return arguments, ok
}

// Names lists what may stand in a group, or, for "", at the top: the next part of each key.
func Names(group string) (names []string) {
	if group != "" {
		group += "."
	}
	for _, s := range Settings {
		if rest, ok := strings.CutPrefix(s.Key, group); ok {
			if name, _, _ := strings.Cut(rest, "."); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// IsList reports whether s has any number of values.
func (s *Setting) IsList() bool { return s.typ.Kind() == reflect.Slice }

// IsMap reports whether s has names with a value each.
func (s *Setting) IsMap() bool { return s.typ.Kind() == reflect.Map }

// Kind is what its value is like, in a word.
func (s *Setting) Kind() string {
	typ := s.typ
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch {
	case s.Bytes:
		return "SIZE"
	case s.Value != "":
		return s.Value
	case typ == reflect.TypeFor[Duration]():
		return "TIME"
	}
	switch typ.Kind() {
	case reflect.String:
		return "string"
	case reflect.Float64:
		return "float"
	}
	return "int"
}

// Explain is Doc with the names that others have in one place, and with what 0 means.
func (s *Setting) Explain(name func(*Setting) string) string {
	text := s.Doc
	if s.Zero != "" {
		text += "; 0: " + s.Zero
	}
	return Refer(text, name)
}

// Refer puts names in the place of {key}.
func Refer(text string, name func(*Setting) string) string {
	for {
		before, rest, found := strings.Cut(text, "{")
		key, after, closed := strings.Cut(rest, "}")
		if !found || !closed {
			return text
		}
		text = before + name(Lookup(key)) + after
	}
}

// value is the setting's field, invalid if it is of a Spawn that is nil; with make, it is made.
func (s *Setting) value(c *Config, make bool) reflect.Value {
	v := reflect.ValueOf(c).Elem()
	for _, i := range s.in {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() && !make {
				return reflect.Value{}
			}
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v
}
