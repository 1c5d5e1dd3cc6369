package config

import (
	"cmp"
	"encoding"
	"reflect"
	"slices"
	"strings"
)

// Config holds the settings of an application and of one site in front of it.
type Config struct {
	Application
	Site

	written *Written // of a JSON with former names; else nil
}

// Written returns the names under which UnmarshalJSON has found settings. It is nil unless a former
// name was among them.
func (c *Config) Written() *Written { return c.written }

// Change is what is required to change a setting while requests run.
type Change string

// The values of a Change.
const (
	InPlace   Change = ""          // nothing
	Processes Change = "processes" // new processes
	Backend   Change = "backend"   // new connections and a new gate
	Restart   Change = "restart"   // a new start of sluice serve
)

// Setting is the declaration of one field of Application or Site.
type Setting struct {
	Key  string // "timeouts.dial"
	Flag string // "dial-timeout"; "": sluice serve has no flag for it
	// Former and FormerFlag are names that are still accepted, see Written; "": none.
	Former, FormerFlag string
	OfSite             bool     // a field of Site; else of Application
	Doc                string   // {key} refers to another setting
	Value              string   // the word in Doc that stands for the value
	Words              []string // the permitted values; empty: any
	Default            string   // as written; "": none, or see Otherwise
	Otherwise          string   // the default in words
	Zero               string   // what 0 means; "": 0 must not be written
	Bytes              bool     // a size
	Commas             bool     // the flag takes a comma-separated list
	Change             Change

	least, most string
	phrase      bool   // the value may have several words
	per         string // key of the duration that follows: "3 per 10m"
	bare        string // the value of the flag without one

	in     []int // field index in the struct of the schema, for each nesting level
	typ    reflect.Type
	schema *Schema // has the setting
}

// Schema indexes the settings of a struct.
type Schema struct {
	Settings []*Setting // in the order of declaration

	byKey  map[string]*Setting
	groups map[string][]string // by key: the keys that the arguments after the group's name set
}

var declarations = declare[Config]()

// Settings lists the settings of a Config, those of the application first.
var Settings = declarations.Settings

// Holder is a struct whose fields are settings: a *Config, a *Server, a *NamedApplication, a
// *HostedSite or a *Login.
type Holder interface{ Schema() *Schema }

// Schema implements Holder.
func (*Config) Schema() *Schema { return declarations }

// declare returns the schema of a struct.
func declare[T any]() *Schema {
	d := &Schema{byKey: make(map[string]*Setting), groups: make(map[string][]string)}
	d.add(reflect.TypeFor[T](), "", "", nil, false)
	return d
}

// add adds the fields of a struct. prefix precedes their keys, flags is the pattern for the
// names of their flags, in is the field index of the struct, and site reports whether it belongs to
// a Site.
func (d *Schema) add(of reflect.Type, prefix, flags string, in []int, site bool) {
	for i := range of.NumField() {
		f, at := of.Field(i), append(slices.Clone(in), i)
		tag := f.Tag.Get
		switch typ := structOf(f.Type); {
		case f.Anonymous:
			d.add(f.Type, "", "", at, site || f.Type == reflect.TypeFor[Site]())
			continue
		case !f.IsExported():
			continue
		case typ != nil:
			key := prefix + tag("key")
			d.addGroup(key, strings.Fields(tag("args")))
			d.add(typ, key+".", tag("flag"), at, site)
			continue
		}
		s := &Setting{
			Key: prefix + tag("key"), Flag: flagName(tag("flag"), flags, prefix, tag("key")), OfSite: site, Doc: tag("doc"),
			Value: tag("value"), Words: strings.Fields(tag("words")), Default: tag("default"), Otherwise: tag("otherwise"), Zero: tag("zero"),
			Bytes: tag("unit") == "bytes", Commas: tag("commas") != "", Change: Change(tag("change")),
			least: tag("least"), most: tag("most"), phrase: tag("phrase") != "", per: tag("per"), bare: tag("bare"), in: at, typ: f.Type, schema: d,
		}
		if len(s.Words) > 0 && s.Otherwise == "" && s.Default == "" {
			s.Default = s.Words[0]
		}
		d.Settings = append(d.Settings, s)
		d.addKey(s.Key, s)
		if s.Former = tag("was"); s.Former == "" {
			continue
		}
		d.addKey(s.Former, s)
		if s.Flag != "" {
			s.FormerFlag = flagName("", "", "", s.Former)
		}
	}
}

func (d *Schema) addKey(key string, s *Setting) {
	if group, _, nested := cutLast(key); nested {
		d.addGroup(group, nil)
	}
	d.byKey[key] = s
}

// structOf returns the struct type of a group, or nil if typ is that of a value.
func structOf(typ reflect.Type) reflect.Type {
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct || reflect.PointerTo(typ).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return nil
	}
	return typ
}

// addGroup adds a group and the groups around it. arguments are keys relative to it.
func (d *Schema) addGroup(key string, arguments []string) {
	for _, name := range arguments {
		d.groups[key] = append(d.groups[key], key+"."+name)
	}
	for nested := true; nested; key, _, nested = cutLast(key) {
		if _, known := d.groups[key]; !known {
			d.groups[key] = nil
		}
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

// Lookup returns the setting with that present or former key, nil if there is none.
func (d *Schema) Lookup(key string) *Setting { return d.byKey[key] }

// Lookup is that of the settings of a Config.
func Lookup(key string) *Setting { return declarations.Lookup(key) }

// IsGroup reports whether key is, or was, a group of settings.
func (d *Schema) IsGroup(key string) bool {
	_, ok := d.groups[key]
	return ok
}

// Group reports whether key is, or was, a group of settings of a Config. arguments are the settings
// for the arguments after the group's name. A list takes all of them.
func Group(key string) (arguments []*Setting, ok bool) {
	for _, key := range declarations.groups[key] {
		arguments = append(arguments, Lookup(key))
	}
	return arguments, declarations.IsGroup(key)
}

// Names lists the names in a group of a Config, or at the top level if group is empty. Of a group
// that has only former names, it lists these.
func Names(group string) []string { return declarations.names(group) }

func (d *Schema) names(group string) (names []string) {
	if group != "" {
		group += "."
	}
	for _, former := range []bool{false, true} {
		for _, s := range d.Settings {
			key := s.Key
			if former {
				key = s.Former
			}
			if rest, ok := strings.CutPrefix(key, group); ok {
				name, _, _ := strings.Cut(rest, ".")
				names = append(names, name)
			}
		}
		if len(names) > 0 {
			break
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// IsList reports whether the value is a list of texts.
func (s *Setting) IsList() bool { return s.typ.Kind() == reflect.Slice }

// IsMap reports whether the value maps names to texts.
func (s *Setting) IsMap() bool { return s.typ.Kind() == reflect.Map }

// Sets lists the settings that Set sets: s, and the duration that is written with it.
func (s *Setting) Sets() []*Setting {
	if s.per == "" {
		return []*Setting{s}
	}
	return []*Setting{s, s.schema.Lookup(s.per)}
}

// Kind returns a word for the value in usage texts: "SIZE", "DIR", "int".
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

// Explain returns Doc with what 0 means. name returns the name of another setting.
func (s *Setting) Explain(name func(*Setting) string) string {
	text := s.Doc
	if s.Zero != "" {
		text += "; 0: " + s.Zero
	}
	return s.refer(text, name)
}

// Preset returns Otherwise with the names of other settings.
func (s *Setting) Preset(name func(*Setting) string) string { return s.refer(s.Otherwise, name) }

// Bare returns the value of the flag if it is given without one, "" if it must have one.
func (s *Setting) Bare() string { return s.bare }

// refer replaces each {key} in text by the name of that setting. {{word}} is written as {word}.
func (s *Setting) refer(text string, name func(*Setting) string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "{")
		key, after, closed := strings.Cut(rest, "}")
		if !found || !closed {
			return b.String() + text
		}
		b.WriteString(before)
		if word, literal := strings.CutPrefix(key, "{"); literal {
			b.WriteString("{" + word)
		} else {
			b.WriteString(name(cmp.Or(s.schema.Lookup(key), Lookup(key)))) // a site refers to settings of its application
		}
		text = after
	}
}

// value returns the field of s in c, which is of the struct that s was declared in. If c.Spawn,
// c.Authorizer or c.Hold is nil and s is one of its fields, it returns an invalid Value, or allocates the
// struct if alloc is set.
func (s *Setting) value(c Holder, alloc bool) reflect.Value {
	v := reflect.ValueOf(c).Elem()
	for _, i := range s.in {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() && !alloc {
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
