package tomlfile

import (
	"fmt"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// reader reads the tables of a file.
type reader struct {
	file     *File
	pause    func()
	problems Problems
	meant    map[string]bool // tables that are there, and are not written as they must be
}

func (r *reader) errorf(at Position, format string, args ...any) {
	r.problems = append(r.problems, &Problem{r.file.Path, at, fmt.Sprintf(format, args...)})
}

// The tables of a file.
const (
	tableServer      = "server"
	tableApplication = "application"
	tableSite        = "site"
)

var tables = map[string]struct {
	header string
	schema *config.Schema
}{
	tableServer:      {"[server]", new(config.Server).Schema()},
	tableApplication: {"[[application]]", new(config.NamedApplication).Schema()},
	tableSite:        {"[[site]]", new(config.HostedSite).Schema()},
}

// tableNames are those of tables, in the order of a file.
var tableNames = []string{tableServer, tableApplication, tableSite}

// top reads the whole file.
func (r *reader) top(root *table) {
	server := &table{at: Position{1, 1}}
	for _, e := range root.entries {
		switch header := tables[e.name].header; {
		case header == "":
			r.unknownTop(e)
		case e.table == nil && e.tables == nil, e.name == tableServer && e.table == nil, e.name != tableServer && e.tables == nil:
			r.errorf(e.at, "%s: is no table as it is written: begin it with %s", e.name, header)
			r.meant[e.name] = true
		case e.name == tableServer:
			server = e.table
		case e.name == tableApplication:
			for _, t := range e.tables {
				r.application(t, len(e.tables) == 1)
			}
		default:
			for _, t := range e.tables {
				r.site(t)
			}
		}
	}
	r.server(server)
}

// unknownTop reports a name at the top level that is no table's.
func (r *reader) unknownTop(e *entry) {
	if best := config.Nearest(e.name, tableNames, map[string]string{"app": tableApplication, "backend": tableApplication, "upstream": tableApplication, "host": tableSite, "vhost": tableSite, "global": tableServer}); best != "" {
		r.errorf(e.at, "%s: there is no such table, did you mean %s?", e.name, tables[best].header)
		r.meant[best] = true
		return
	}
	for _, name := range tableNames {
		if t := tables[name]; t.schema.Lookup(e.name) != nil || t.schema.IsGroup(e.name) {
			r.errorf(e.at, "%s: stands before the first table, and belongs below %s", e.name, t.header)
			return
		}
	}
	r.errorf(e.at, "%s: there is no such table: want [server], [[application]] or [[site]]", e.name)
}

func (r *reader) server(t *table) {
	r.file.server = *r.read(t, tableServer, &r.file.Server)
}

func (r *reader) application(t *table, only bool) {
	a := new(config.NamedApplication)
	if only && t.find("name") == nil {
		a.Name = config.OnlyApplication
	}
	// A table without keys is one, too.
	if e := t.find("spawn"); e != nil && e.table != nil {
		a.Spawn = new(config.Spawn)
	}
	if e := t.find("authorizer"); e != nil && e.table != nil {
		a.Authorizer = new(config.Authorizer)
	}
	if e := t.find("hold"); e != nil && e.table != nil {
		a.Hold = new(config.Hold)
	}
	loc := r.read(t, tableApplication, a)
	r.file.applications, r.file.Applications = append(r.file.applications, *loc), append(r.file.Applications, a)
}

func (r *reader) site(t *table) {
	s := new(config.HostedSite)
	loc := r.read(t, tableSite, s)
	r.file.sites, r.file.Sites = append(r.file.sites, *loc), append(r.file.Sites, s)
}

// read gives the values of a table to its settings, and completes them.
func (r *reader) read(t *table, name string, to settings) *located {
	r.pause()
	loc := &located{at: t.at, keys: make(map[string]Position), wrong: make(map[string]bool)}
	r.group(t, name, "", to, loc)
	r.complete(to, loc)
	r.file.Renamed = append(r.file.Renamed, loc.written.Renamed()...)
	return loc
}

// group reads a table, or one within it; prefix precedes its keys.
func (r *reader) group(t *table, name, prefix string, to config.Holder, loc *located) {
	for _, e := range t.entries {
		key := prefix + e.name
		s := to.Schema().Lookup(key)
		switch {
		case s != nil:
			r.assign(e, key, s, to, loc)
		case to.Schema().IsGroup(key) && e.table != nil:
			loc.keys[key] = e.at
			r.group(e.table, name, key+".", to, loc)
		case to.Schema().IsGroup(key):
			r.errorf(e.at, "%s: is no table: write its settings as %s.NAME = ..., or below [%s.%[2]s]", key, key, name)
		default:
			r.unknown(e, name, key, prefix, to.Schema())
			loc.wrong[key] = true
		}
	}
}

func (r *reader) assign(e *entry, key string, s *config.Setting, to config.Holder, loc *located) {
	if err := loc.written.Add(s, key); err != nil {
		r.errorf(e.at, "%s: %v", key, err)
		return
	}
	value := e.any()
	sets := []*config.Setting{s}
	if _, isText := value.(string); isText {
		sets = s.Sets()
	}
	for _, set := range sets {
		if at, twice := loc.keys[set.Key]; twice {
			r.errorf(e.at, "%s: %s is given in line %d already", key, set.Key, at.Line)
			return
		}
	}
	for _, set := range sets {
		loc.keys[set.Key] = e.at
	}
	loc.keys[key] = e.at // errors name a former name
	if err := s.Assign(to, value); err != nil {
		r.errorf(e.at, "%s: %v", key, err)
		loc.wrong[s.Key] = true
		s.Unset(to)
	}
}

// unknown reports a key that a table does not have.
func (r *reader) unknown(e *entry, name, key, prefix string, schema *config.Schema) {
	for _, other := range tableNames {
		if t := tables[other]; other != name && (t.schema.Lookup(key) != nil || t.schema.IsGroup(key)) {
			r.errorf(e.at, "%s: belongs below %s, not below %s", key, t.header, tables[name].header)
			return
		}
	}
	r.errorf(e.at, "%s: %v", key, schema.Unknown("key", e.name, strings.TrimSuffix(prefix, "."), nil))
}

// maxMistakes bounds how many mistakes are looked for in one table, besides wrong values.
const maxMistakes = 20

// settings is what a table is read into.
type settings interface {
	config.Holder
	Complete() error
}

// complete completes the settings of a table. A setting that is wrong is left out, and the rest is
// checked again, so that all mistakes are found.
func (r *reader) complete(to settings, loc *located) {
	sure := len(loc.wrong) == 0 // nothing was left out, from which another mistake could follow
	for range maxMistakes {
		err := to.Complete()
		if err == nil {
			return
		}
		key := keyOf(err)
		s := to.Schema().Lookup(key)
		_, written := loc.keys[key]
		if (!written || s == nil) && !sure || loc.wrong[key] {
			return
		}
		r.problems = append(r.problems, loc.problem(r.file.Path, err))
		if sure = false; s == nil || !written {
			return
		}
		loc.wrong[s.Key] = true
		defer s.Unset(to)() // other tables may name it
	}
}
