package tomlfile

import (
	"errors"
	"strings"
	"testing"
)

// inOrder is a file without mistakes, to which the cases add theirs.
const inOrder = `[server]
listen = ["127.0.0.1:0"]
[[application]]
name = "wiki"
backends = ["unix:/run/wiki.sock"]
[[site]]
hosts = ["wiki.example.org"]
`

// Each mistake is reported where it stands, with what to do. The cases replace a line of inOrder, or
// stand behind it.
func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		line int    // that is replaced; 0: the text follows the file
		text string // "": the line is left out
		want string // line:column, and a part of the text
	}{
		// Syntax.
		{1, `[server`, `1:8: expected ']'`},
		{1, `server]`, `1:7: expected '='`},
		{2, `listen = `, `2:10: unexpected character U+000A at start of value (texts stand in quotes`},
		{2, `listen = localhost`, `2:10: `},
		{2, `listen = ["a", "b"`, `3:1: `},
		{2, `listen = "127.0.0.1:0`, `2:22: basic strings cannot have new lines`},
		{2, `log_level = 'info`, `2:18: literal strings cannot have new lines`},
		{2, "log_level = \"a\\qb\"", `2:15: `},
		{2, "listen = [\"127.0.0.1:0\"]\nlisten = [\"127.0.0.1:1\"]", `3:1: key listen is already defined`},
		{2, "max_connections = 9223372036854775808", `2:19: decimal number is too large`},
		{1, "\xef\xbb\xbf[server]", `1:1: begins with a byte order mark`},
		{0, "[server]\n", `8:2: table server already exists`},
		{0, "[[server]]\n", `8:3: key server already exists as a table`},
		// Tables.
		{1, `[[server]]`, `1:3: server: is no table as it is written: begin it with [server]`},
		{3, `[application]`, `3:2: application: is no table as it is written: begin it with [[application]]`},
		{6, `[site]`, `6:2: site: is no table as it is written: begin it with [[site]]`},
		{3, `[[applications]]`, `3:3: applications: there is no such table, did you mean [[application]]?`},
		{6, `[[sites]]`, `6:3: sites: there is no such table, did you mean [[site]]?`},
		{6, `[[vhost]]`, `6:3: vhost: there is no such table, did you mean [[site]]?`},
		{6, `[[frobnicate]]`, `6:3: frobnicate: there is no such table: want [server], [[application]] or [[site]]`},
		{1, `workers = 3`, `1:1: workers: stands before the first table, and belongs below [[application]]`},
		{1, `timeouts.dial = "3s"`, `1:1: timeouts: stands before the first table`},
		{1, `server = 3`, `1:1: server: is no table as it is written: begin it with [server]`},
		// Keys.
		{2, `listn = [":80"]`, `2:1: listn: unrecognized key 'listn', did you mean 'listen'?`},
		{2, `port = 80`, `2:1: port: unrecognized key 'port', want one of: access_log`},
		{5, "backends = [\"unix:/run/wiki.sock\"]\nwokers = 3", `6:1: wokers: unrecognized key 'wokers', did you mean 'workers'?`},
		{5, "backends = [\"unix:/run/wiki.sock\"]\nthreads = 3", `6:1: threads: unrecognized key 'threads', did you mean 'workers'?`},
		{5, `command = ["./wiki.fcgi"]`, `5:1: command: unrecognized key 'command', did you mean 'spawn.command'?`},
		{5, "backends = [\"unix:/run/wiki.sock\"]\nqueue.siz = 3", `6:7: queue.siz: unrecognized key 'siz', did you mean 'size'?`},
		{5, "backends = [\"unix:/run/wiki.sock\"]\n[application.queue]\nsize = 3\nlong = 3", `8:1: queue.long: unrecognized key 'long'`},
		{5, "backends = [\"unix:/run/wiki.sock\"]\ntimeouts = { dail = \"3s\" }", `6:14: timeouts.dail: unrecognized key 'dail', did you mean 'dial'?`},
		{5, "backends = [\"unix:/run/wiki.sock\"]\nhosts = [\"a\"]", `6:1: hosts: belongs below [[site]], not below [[application]]`},
		{5, "backends = [\"unix:/run/wiki.sock\"]\ntimeouts.first_byte = \"3s\"", `6:10: timeouts.first_byte: belongs below [[site]], not below [[application]]`},
		{7, `workers = 3`, `7:1: workers: belongs below [[application]], not below [[site]]`},
		{7, `log_level = "warn"`, `7:1: log_level: belongs below [server], not below [[site]]`},
		{5, "backends = [\"unix:/run/wiki.sock\"]\nclient.limit = 2\nflow.limit = 2", `7:6: flow.limit: is the former name of client.limit, which is given as well`},
		{7, "client.max_addresses = \"3 per 10m\"\nclient.per = \"5m\"", `8:8: client.per: client.per is given in line 7 already`},
		// Types.
		{2, `listen = "127.0.0.1:0, :80"`, `2:1: listen: is the string "127.0.0.1:0, :80", want a list of strings, such as ["addr"]`},
		{2, `listen = "127.0.0.1:0 :80"`, `2:1: listen: is the string "127.0.0.1:0 :80", want a list of strings`},
		{2, `listen = ""`, `2:1: listen: is the string "", want a list of strings`},
		{5, `spawn.command = "php-cgi -b"`, `5:7: spawn.command: is the string "php-cgi -b", want a list of strings`},
		{2, `listen = [80]`, `2:1: listen: is a list of other things than strings, want a list of strings`},
		{2, `timeouts.header = 3`, `2:10: timeouts.header: is the number 3, want a time in quotes, such as "3s"`},
		{2, `max_header = true`, `2:1: max_header: is true, want a size, such as "20MiB"`},
		{2, `listen_mode = 660`, `2:1: listen_mode: is the number 660, want a mode in quotes, such as "027"`},
		{2, `timeouts = 3`, `2:1: timeouts: is no table: write its settings as timeouts.NAME = ..., or below [server.timeouts]`},
		{5, "backends = [\"unix:/run/wiki.sock\"]\nworkers = \"3\"", `6:1: workers: is the string "3", want a whole number`},
		{5, "backends = [\"unix:/run/wiki.sock\"]\nworkers = 3.5", `6:1: workers: is the number 3.5, want a whole number`},
		{5, "backends = [\"unix:/run/wiki.sock\"]\nlanes = true", `6:1: lanes: is true, want "on" or "off"`},
		{5, "backends = [\"unix:/run/wiki.sock\"]\nworkers = { n = 3 }", `6:1: workers: is a table, want a whole number`},
		{5, "backends = [\"unix:/run/wiki.sock\"]\nadmission.client_rate = \"1\"", `6:11: admission.client_rate: is the string "1", want a number`},
		{7, `env = ["A=B"]`, `7:1: env: is a list, want a table of strings, such as { NAME = "value" }`},
		{7, `env = { A = 3 }`, `7:1: env: A is the number 3, want a string`},
		{7, `root = 1979-05-27`, `7:1: root: is a date or a time, want a string in quotes`},
		// Values.
		{2, `log_level = "trace"`, `2:1: log_level: is "trace", want debug, info, warn or error`},
		{2, `max_header = "lots"`, `2:1: max_header: "lots" is not a size (write 64KiB, 20MiB, 1GiB)`},
		{2, `timeouts.keepalive = "0s"`, `2:10: timeouts.keepalive: must be more than 0`},
		{2, `timeouts.drain = "-1s"`, `2:10: timeouts.drain: must not be negative`},
		{2, `status = ""`, `2:1: status: is empty, which would be the default, 127.0.0.1:9180`},
		{2, `listen_mode = "rw"`, `2:1: listen_mode: "rw" is not a mode (write 0660, 0666)`},
		{4, `name = ""`, `4:1: name: none given; sites name the application by it`},
		{4, `name = "my wiki"`, `4:1: name: is "my wiki", want letters, digits`},
		{4, "backends = [\"unix:/run/other.sock\"]\n[[application]]\nname = \"wiki\"", `3:3: name: none given`},
		{5, ``, `3:3: backends: none given; name at least one`},
		{5, `backends = ["/run/wiki.sock"]`, `5:1: backends: address "/run/wiki.sock": want unix:/path or host:port`},
		{5, "backends = [\"unix:/run/wiki.sock\"]\nspawn.command = [\"./wiki\"]", `5:1: backends: given, and so is spawn`},
		{5, "[application.spawn]\nuser = \"www-data\"", `3:3: spawn.command: none given`},
		{5, "backends = [\"unix:/run/wiki.sock\"]\nworkers = 0", `6:1: workers: is 0, want at least 1`},
		{5, "backends = [\"unix:/run/wiki.sock\"]\nprotocol = \"scgi\"\nmultiplex = \"on\"", `7:1: multiplex: is on, and the application speaks scgi`},
		{7, `hosts = ["https://wiki.example.org"]`, `7:1: hosts: "https://wiki.example.org": is a URL`},
		{7, `hosts = ["wiki.example.org/wiki"]`, `7:1: hosts: "wiki.example.org/wiki": has a path`},
		{7, `hosts = ["wiki.example.org:80"]`, `7:1: hosts: "wiki.example.org:80": has a port`},
		{7, `hosts = ["wiki.*.org"]`, `7:1: hosts: "wiki.*.org": the only place for * is the beginning`},
		{7, `hosts = ["*"]`, `7:1: hosts: "*": for all hosts that no other site names, leave hosts out`},
		{7, `hosts = ["wiki_.exämple.org"]`, `7:1: hosts: "wiki_.exämple.org": is no host name`},
		{7, `auth.paths = ["/login"]`, `7:6: auth.paths: means nothing without auth.file`},
		{7, `timeouts.request = "soon"`, `7:10: timeouts.request: "soon" is not a duration`},
		// Between tables.
		{3, "[[application]]\nname = \"other\"\nbackends = [\"unix:/run/other.sock\"]\n[[application]]", `9:3: application: none given, and there are several: want one of other, wiki`},
		{7, `application = "wikki"`, `7:1: application: there is no "wikki", did you mean "wiki"?`},
		{7, `application = "blog"`, `7:1: application: there is no "blog": want one of wiki`},
		{0, "[[application]]\nname = \"wiki\"\nbackends = [\"unix:/run/other.sock\"]\n", `9:1: name: "wiki" is the application in line 3 already`},
		{0, "[[application]]\nname = \"again\"\nbackends = [\"unix//run/wiki.sock\"]\n", `10:1: backends: are the application "wiki" already: give all its sites application = "wiki"`},
		{0, "[[site]]\nhosts = [\"WIKI.example.org.\"]\n", `9:1: hosts: WIKI.example.org. is the site in line 6 already: give one of them another host or mount`},
		{0, "mount = \"/wiki\"\n[[site]]\nhosts = [\"a.example.org\", \"wiki.example.org\"]\nmount = \"/wiki/\"\n", `10:1: hosts: wiki.example.org at /wiki/ is the site in line 6 already`},
		{7, `hosts = ["a.example.org", "A.example.org"]`, `7:1: hosts: A.example.org is named twice`},
		{0, "[[site]]\n[[site]]\n", `9:3: hosts: all hosts that no site names is the site in line 8 already`},
		{6, "[server.x]", `6:9: x: unrecognized key 'x'`},
	} {
		lines := strings.Split(strings.TrimSuffix(inOrder, "\n"), "\n")
		if c.line > 0 {
			lines[c.line-1] = c.text
		} else {
			lines = append(lines, strings.TrimSuffix(c.text, "\n"))
		}
		_, err := Parse("s.toml", []byte(strings.Join(lines, "\n")+"\n"))
		problems, _ := errors.AsType[Problems](err)
		if len(problems) == 0 {
			t.Errorf("%q: %v, want %s", c.text, err, c.want)
			continue
		}
		found := false
		for _, p := range problems {
			found = found || strings.Contains(p.Error(), "s.toml:"+c.want)
		}
		if !found {
			t.Errorf("%q:\n%v\nwant s.toml:%s", c.text, err, c.want)
		}
	}
	if _, err := Parse("s.toml", []byte(inOrder)); err != nil {
		t.Error(err)
	}
}

// All that is wrong is reported, in the order of the file, and nothing that only follows from it.
func TestAllMistakes(t *testing.T) {
	_, err := Parse("s.toml", []byte(`[server]
lisen = [":80"]
max_header = 0
log_format = "xml"
[[application]]
name = "wiki"
backends = ["/run/wiki.sock"]
workers = "16"
timeouts.dial = "-1s"
[[application]]
name = "blog"
spawn.comand = ["php-cgi"]
[[site]]
application = "wikki"
hosts = ["a b"]
max_body = true
timeouts.client = "-1s"
[[site]]
application = "blog"
poll_answer.status = 200
`))
	var got []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		where, _, _ := strings.Cut(strings.TrimPrefix(line, "s.toml:"), ": ")
		got = append(got, where)
	}
	if want := "2:1 3:1 4:1 7:1 8:1 9:10 12:7 14:1 15:1 16:1 17:10 20:1"; strings.Join(got, " ") != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}

// A table that is not written as it must be is the only mistake: that there is none follows from it.
func TestMeantTables(t *testing.T) {
	const application, site = "[[application]]\nname = \"a\"\nbackends = [\"unix:/a\"]\n", "[[site]]\napplication = \"a\"\n"
	for text, want := range map[string]string{
		application + "[site]\n":                                 "s.toml:4:2: site: is no table as it is written: begin it with [[site]]",
		application + "[[sites]]\n":                              "s.toml:4:3: sites: there is no such table, did you mean [[site]]?",
		"[application]\nname = \"a\"\n" + site:                   "s.toml:1:2: application: is no table as it is written: begin it with [[application]]",
		"application = [{ backends = [\"unix:/a\"] }]\n" + site:  "s.toml:1:1: application: is no table as it is written: begin it with [[application]]",
		"[[applications]]\nbackends = [\"unix:/a\"]\n" + site:    "s.toml:1:3: applications: there is no such table, did you mean [[application]]?",
		application + "[sites]\n[application.queue]\nsize = 0\n": "s.toml:4:2: sites: there is no such table, did you mean [[site]]?\ns.toml:6:1: queue.size: is 0, want at least 1",
	} {
		if _, err := Parse("s.toml", []byte(text)); err == nil || err.Error() != want {
			t.Errorf("%s\n%v\nwant\n%s", text, err, want)
		}
	}
}
