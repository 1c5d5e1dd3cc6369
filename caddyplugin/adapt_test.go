package caddyplugin

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/sluice-proxy/sluice/bridge/config"
)

var update = flag.Bool("update", false, "write the goldens anew")

// adapt turns a Caddyfile into JSON.
func adapt(text string) (string, error) {
	raw, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return "", err
	}
	var pretty bytes.Buffer
	err = json.Indent(&pretty, raw, "", "\t")
	return pretty.String(), err
}

// TestAdapt compares what testdata's Caddyfiles are adapted to with what is written
// below them.
func TestAdapt(t *testing.T) {
	files, err := filepath.Glob("testdata/*.caddytest")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, _ := strings.Cut(string(text), "\n----------\n")
			got, err := adapt(input + "\n")
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(file, []byte(input+"\n----------\n"+got+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != strings.TrimSpace(want) {
				t.Errorf("adapted to\n%s", got)
			}
		})
	}
}

// TestAdaptErrors has every kind of error, each with the line it is about.
func TestAdaptErrors(t *testing.T) {
	for _, c := range []struct{ block, want string }{
		{"", "backends: none given; name at least one, such as unix:/run/app.sock or 127.0.0.1:9000, or a command to spawn, at Caddyfile:2"},
		{"sluice_status {\nworkers 4\n}", "sluice_status: unexpected 'workers', there are no settings, at Caddyfile:3"},
		{"sluice a:1 {\nredirect /old /new\n}", "redirect: in Caddy, this is done by: redir /old /new 301, at Caddyfile:3"},
		{"sluice a:1 {\nrewrite /wiki/* /index.php\n}", "rewrite: in Caddy, this is done by: rewrite /wiki/* /index.php?title={path}, at Caddyfile:3"},
		{"sluice a:1 {\nstatic_missing 404\n}", "static_missing: in Caddy, this is done by: file_server in a handle of its own, at Caddyfile:3"},
		{"sluice a:1 {\nstatic_cache /a/* no-cache\n}", "static_cache: in Caddy, this is done by: header /assets/* Cache-Control max-age=3600, at Caddyfile:3"},
		{"sluice a:1 {\nstatic_precompressed br\n}", "static_precompressed: in Caddy, this is done by: file_server { precompressed br zstd gzip }, at Caddyfile:3"},
		{"reverse_proxy a:1 {\ntransport sluice {\ncompression {\nscope all\n}\n}\n}", "compression: in Caddy, this is done by: encode, at Caddyfile:"},
		{"sluice nowhere", `backends: address "nowhere": want unix:/path or host:port; http+unix:/path and http://host:port name the protocol: fcgi, scgi, uwsgi or http, at Caddyfile:2`},
		{"sluice a:1 {\nbackends a:1\n}", "backends: a:1 is named twice, at Caddyfile:3"},
		{"sluice a:1 {\nworker 4\n}", "unrecognized option 'worker', did you mean 'workers'?, at Caddyfile:3"},
		{"sluice a:1 {\nfirst_byte 3s\n}", "unrecognized option 'first_byte', did you mean 'timeouts.first_byte'?, at Caddyfile:3"},
		{"sluice a:1 {\ncolour red\n}", "unrecognized option 'colour', want one of: admission, app_root, authorizer, backends, check_files, client, compression, env,"},
		{"sluice a:1 {\nworkers\n}", "workers: want one value, have 0, at Caddyfile:3"},
		{"sluice a:1 {\nworkers 4 5\n}", "workers: want one value, have 2, at Caddyfile:3"},
		{"sluice a:1 {\nworkers four\n}", `workers: "four" is not a whole number, at Caddyfile:3`},
		{"sluice a:1 {\nworkers -1\n}", "workers: is -1, want at least 1, at Caddyfile:3"},
		{"sluice a:1 {\nworkers 0\n}", "workers: is 0, want at least 1, at Caddyfile:3"},
		{"sluice a:1 {\nmax_body 0\n}", "max_body: must be more than 0, at Caddyfile:3"},
		{"sluice a:1 {\nqueue {\nsize 0\n}\n}", "size: is 0, want at least 1, at Caddyfile:4"},
		{"sluice a:1 {\nqueue {\npoll_answer 0\n}\n}", "poll_answer: is 0, want 200 to 599, at Caddyfile:4"},
		{"sluice a:1 {\nclient {\nlimit 0\n}\n}", "limit: is 0, want at least 1, at Caddyfile:4"},
		{"sluice a:1 {\nadmission {\nclient_rate 0\n}\n}", "client_rate: must be more than 0, at Caddyfile:4"},
		{"sluice a:1 {\ntimeouts {\ndial 0s\n}\n}", "dial: must be more than 0, at Caddyfile:4"},
		{"sluice a:1 {\nspool {\nmemory 0\n}\n}", "memory: must be more than 0, at Caddyfile:4"},
		{"sluice {\nspawn ./app {\ninstances 0\n}\n}", "instances: is 0, want at least 1, at Caddyfile:4"},
		{"sluice {\nspawn ./app {\naddress_space 0\n}\n}", "address_space: must be more than 0, at Caddyfile:4"},
		{"sluice a:1 {\nworkers 4\nworkers 5\n}", "workers: is given twice, at Caddyfile:4"},
		{"sluice a:1 {\n\nmax_body lots\n}", `max_body: "lots" is not a size (write 64KiB, 20MiB, 1GiB), at Caddyfile:4`},
		{"sluice a:1 {\nmax_params 99999999TiB\n}", "max_params: "},
		{"sluice a:1 {\nlanes maybe\n}", `lanes: is "maybe", want on or off, at Caddyfile:3`},
		{"sluice a:1 {\nenv NAME\n}", "env: want a name and a value, have 1 words, at Caddyfile:3"},
		{"sluice a:1 {\nenv A 1\nenv A 2\n}", "env: A is given twice, at Caddyfile:4"},
		{"sluice a:1 {\nhide\n}", "hide: want a value, at Caddyfile:3"},
		{"sluice a:1 {\nworkers 8\nhide data\n}", `hide "data": want a path below the root, beginning with "/", at Caddyfile:4`},
		{"sluice a:1 {\nmount trac\n}", `mount "trac": must start with "/", at Caddyfile:3`},
		{"sluice a:1 {\npreset perl\n}", `preset: is "perl", want app, php or cgi, at Caddyfile:3`},
		{"sluice a:1 {\npreset php\n}", `root: preset "php" needs the directory of its scripts (a root directive counts if it is above and has no matcher; for another, write: root {http.vars.root}), at Caddyfile:2`},
		{"@x path /a\nroot @x /srv\nsluice a:1 {\npreset php\n}", `root: preset "php" needs the directory`},
		{"sluice a:1 {\npreset php\nroot /srv\nstatic some\n}", `static: is "some", want off, usual or all, at Caddyfile:5`},
		{"sluice a:1 {\npreset php\nroot /srv\nstatic_types php\n}", `static_types "php": such files are never sent`},
		{"sluice a:1 {\npreset php\nroot /srv\nstatic_dirs /img=/srv/img\n}", `static_dirs "/img=/srv/img": in Caddy, files of another directory are sent by: handle_path /img/* { root * /srv/img; file_server }, at Caddyfile:5`},
		{"sluice a:1 {\npreset php\nroot /srv\napp_root app\n}", `app_root "app": must be an absolute path like "/app", at Caddyfile:5`},
		{"sluice a:1 {\npreset php\nroot srv\ncheck_files off\n}", `root "srv": must be an absolute path like "/app", the application's, while check_files is off, at Caddyfile:4`},
		{"sluice a:1 {\nvirtual /ping\n}", `virtual: preset "app" has no files`},
		{"reverse_proxy a:1 {\ntransport sluice {\nstatic_types zip\n}\n}", "unrecognized option 'static_types'"},
		{"sluice a:1 {\npreset php\nroot /srv\nfallback index.php\n}", `fallback "index.php": must be a script's path like "/index.php", at Caddyfile:5`},
		{"sluice a:1 {\nreserve 4\n}", "reserve: is 4, want 0 to 3: of 4 workers one at least must be left for other requests, at Caddyfile:3"},
		{"sluice a:1 {\nlong_poll poll\n}", `long_poll: "poll": want a path beginning with "/"`},
		{"sluice a:1 {\nqueue 5\n}", "queue: unexpected '5', want a block in braces, at Caddyfile:3"},
		{"sluice a:1 {\nqueue {\nsize 3\ntimeout soon\n}\n}", `timeout: "soon" is not a duration (write 500ms, 3s, 2m), at Caddyfile:5`},
		{"sluice a:1 {\nqueue {\nsize 3\ntimeout -1s\n}\n}", "queue.timeout: must not be negative, at Caddyfile:5"},
		{"sluice a:1 {\nqueue {\npoll_answer\n}\n}", "poll_answer: want 1 to 3 values, have 0, at Caddyfile:4"},
		{"sluice a:1 {\nqueue {\npoll_answer yes\n}\n}", `poll_answer: "yes" is not a whole number, at Caddyfile:4`},
		{"sluice a:1 {\nqueue {\npoll_answer 99\n}\n}", "queue.poll_answer.status: is 99, want 200 to 599, at Caddyfile:4"},
		{"sluice a:1 {\nqueue {\nsise 3\n}\n}", "unrecognized option 'sise', did you mean 'size'?, at Caddyfile:4"},
		{"sluice a:1 {\nauthorizer {\nworkers 2\n}\n}", "authorizer: want 1 value, have 0, at Caddyfile:3"},
		{"sluice a:1 {\nauthorizer b:2 {\nworkers 0\n}\n}", "workers: is 0, want at least 1, at Caddyfile:4"},
		{"sluice a:1 {\nauthorizer b:2 {\naddress c:3\n}\n}", "address: belongs on the line of authorizer, not into its block, at Caddyfile:4"},
		{"sluice a:1 {\nauthorizer scgi://b:2\n}", "authorizer.address: scgi://b:2 speaks scgi, which has no authorizers: want FastCGI or HTTP, at Caddyfile:3"},
		{"sluice a:1 {\nauthorizer b:2 {\npaths x\n}\n}", `authorizer.paths "x": want a path below the root, beginning with "/", at Caddyfile:4`},
		{"sluice a:1 {\nqueue {\nlength 3\n}\n}", "unrecognized option 'length', want one of: long_size, long_timeout, poll_answer, size, timeout, at Caddyfile:4"},
		{"sluice a:1 {\nclient {\nkey cookie\n}\n}", `client.key: is "cookie", and lacks the cookie's name, at Caddyfile:4`},
		{"sluice a:1 {\nclient {\nmax_addresses many\n}\n}", `max_addresses: want a number and a time, such as "3 per 10m", at Caddyfile:4`},
		{"sluice a:1 {\nclient {\nmax_addresses 3 per 10m\n}\n}", `client.max_addresses: client.key is "auto", which tells no accounts apart`},
		{"sluice a:1 {\nadmission {\nclient_rate much\n}\n}", `client_rate: "much" is not a number, at Caddyfile:4`},
		{"sluice a:1 {\nadmission {\nlong_min 9\n}\n}", "admission.long_min: is 9, want 0 to 2: the reserve is 2 of 4 workers, at Caddyfile:4"},
		{"sluice a:1 {\nmultiplex on\nkeep_alive off\n}", "multiplex: is on, and keep_alive is off: requests cannot share connections that carry one each, at Caddyfile:3"},
		{"sluice {\nspawn\n}", "spawn.command: none given; name the program, and its arguments, at Caddyfile:3"},
		{"sluice a:1 scgi://b:1", "backends: a:1 speaks fastcgi, and scgi://b:1 speaks scgi: all backends of an application speak one protocol, at Caddyfile:2"},
		{"sluice https://a:1", `backends: address "https://a:1": there is no protocol "https": want fcgi, scgi, uwsgi or http`},
		{"sluice a:1 {\nprotocol https\n}", `protocol: is "https", want fastcgi, scgi, uwsgi or http, at Caddyfile:3`},
		{"sluice http://a:1 {\npreset php\nroot /srv\n}", "preset: is php, and the application speaks http, in which no script can be named: use fastcgi, or preset app"},
		{"sluice a:1 {\nprotocol http\nenv A b\n}", "env: means nothing to an application that speaks http: set the environment of the application itself (spawn.env if it is started)"},
		{"sluice a:1 {\nspawn ./app\n}", "backends: given, and so is spawn: the application runs already, or it is to be started, at Caddyfile:2"},
		{"sluice {\nspawn a\nspawn b\n}", "spawn: is given twice, at Caddyfile:4"},
		{"sluice {\nspawn a {\ncommand b\n}\n}", "command: belongs on the line of spawn, not into its block, at Caddyfile:4"},
		{"sluice a:1 {\nclient {\nmax_addresses 3 per 10m\nper 5m\n}\n}", "per: is given twice, at Caddyfile:5"},
		{"sluice a:1 {\nclient {\nper 5m\nmax_addresses 3 per 10m\n}\n}", "max_addresses: is given twice, at Caddyfile:5"},
		{"sluice a:1 {\nflow {\nlimit 0\n}\n}", "limit: is 0, want at least 1, at Caddyfile:4"},
		{"sluice a:1 {\nflow {\nkye user\n}\n}", "unrecognized option 'kye', did you mean 'key'?, at Caddyfile:4"},
		{"sluice a:1 {\nflow {\nkey cookie\n}\n}", `flow.key: is "cookie", and lacks the cookie's name, at Caddyfile:4`},
		{"sluice a:1 {\nflow {\nmax_addresses 3 per 10m\n}\n}", `flow.max_addresses: client.key is "auto", which tells no accounts apart`},
		{"sluice a:1 {\nclient {\nlimit 2\n}\nflow {\nlimit 2\n}\n}", "flow.limit: is the former name of client.limit, which is given as well, at Caddyfile:7"},
		{"sluice a:1 {\nflow {\nlimit 2\n}\nclient {\nlimit 2\n}\n}", "client.limit: is given, and so is flow.limit, its former name, at Caddyfile:7"},
		{"sluice a:1 {\nflow {\nlimit 2\nlimit 2\n}\n}", "limit: is given twice, at Caddyfile:5"},
		{"sluice a:1 {\nqueue {\npoll_answer 204\npoll_answer 204\n}\n}", "poll_answer: is given twice, at Caddyfile:5"},
		{"sluice a:1 {\nqueue {\npoll_answer 200 a b c\n}\n}", "poll_answer: want 1 to 3 values, have 4, at Caddyfile:4"},
		{"sluice {\nspawn ./app {\nbudget lots\n}\n}", `budget: "lots" is not a budget (write "10 per 10m" or "10 per 10m stop"), at Caddyfile:4`},
		{"sluice {\nspawn ./app {\numask 8\n}\n}", `umask: "8" is not a mask (write 022, 027, 077), at Caddyfile:4`},
		{"sluice {\nspawn ./app {\nopen_files none\n}\n}", `open_files: "none" is not a number above 0, at Caddyfile:4`},
		{"sluice {\nspawn ./app {\ninstances 4\nmax_instances 2\n}\n}", "spawn.max_instances: is 2, and spawn.instances is 4, at Caddyfile:5"},
		{"reverse_proxy a:1 {\ntransport sluice {\nspawn ./app\n}\n}", "unrecognized option 'spawn'"},
		{"reverse_proxy a:1 {\ntransport sluice {\nprotocol scgi\n}\n}", "unrecognized option 'protocol'"},
		{"reverse_proxy a:1 {\ntransport sluice {\nbackends a:1\n}\n}", "unrecognized option 'backends'"},
		{"reverse_proxy a:1 {\ntransport sluice a:2\n}", "unexpected 'a:2': the upstreams are named by reverse_proxy, at Caddyfile:3"},
		{"reverse_proxy a:1 {\ntransport sluice {\nworkers 4\nreserve 4\n}\n}", "reserve: is 4, want 0 to 3: of 4 workers one at least must be left for other requests, at Caddyfile:5"},
	} {
		if c.block == "" {
			c.block = "sluice"
		}
		_, err := adapt(":80 {\n" + c.block + "\n}\n")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\ngives %v\nwant  %s", c.block, err, c.want)
		}
	}
}

// TestAdaptErrorsOfGlobalOption has those of the global option.
func TestAdaptErrorsOfGlobalOption(t *testing.T) {
	for _, c := range []struct{ block, want string }{
		{"sluice on", "sluice: unexpected 'on', want a block in braces, at Caddyfile:2"},
		{"sluice {\nworkers 4\n}", "unrecognized option 'workers', want web_servers (the settings of an application belong to the directive sluice of a site), at Caddyfile:3"},
		{"sluice {\n}\nsluice {\n}", "sluice: is given twice, at Caddyfile:4"},
		{"sluice {\nweb_servers 4\n}", "web_servers: unexpected '4', want a block in braces, at Caddyfile:3"},
		{"sluice {\nweb_servers {\n}\nweb_servers {\n}\n}", "web_servers: is given twice, at Caddyfile:5"},
		{"sluice {\nweb_servers {\nmode 0660 x\n}\n}", "unrecognized option 'mode', want one of: max_connections, max_requests, socket_group, at Caddyfile:4"},
		{"sluice {\nweb_servers {\nsocket_group\n}\n}", "socket_group: want one value, have 0, at Caddyfile:4"},
		{"sluice {\nweb_servers {\nmax_requests 1\nmax_requests 1\n}\n}", "max_requests: is given twice, at Caddyfile:5"},
		{"sluice {\nweb_servers {\nmax_connections many\n}\n}", `max_connections: "many" is not a whole number, at Caddyfile:4`},
		{"sluice {\nweb_servers {\nmax_connections 0\n}\n}", "max_connections: is 0, want at least 1, at Caddyfile:4"},
	} {
		_, err := adapt("{\n" + c.block + "\n}\n:80 {\nrespond ok\n}\n")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\ngives %v\nwant  %s", c.block, err, c.want)
		}
	}
}

// A value that is only known where the configuration is loaded is checked there.
// What tells a command where to listen is no placeholder of Caddy's, not even {port}.
func TestCommandIsToldWhereToListen(t *testing.T) {
	got, err := adapt(":80 {\nsluice {\nspawn node --port={port} --at={address} {socket} {\nenv AT {port}\n}\n}\n}\n")
	if err != nil {
		t.Fatal(err)
	}
	const port = "{http.request.port}" // what Caddy makes of {port}
	if !strings.Contains(got, `"--port=`+port+`"`) || !strings.Contains(got, `"AT": "`+port+`"`) {
		t.Fatalf("this is not what resolve expects:\n%s", got)
	}
	cfg := config.Config{Application: config.Application{Spawn: &config.Spawn{
		Command: []string{"node", "--port=" + port, "--at={address}", "{socket}"}, Env: map[string]string{"AT": port},
	}}}
	if err := resolve(&cfg); err != nil || strings.Join(cfg.Spawn.Command, " ") != "node --port={port} --at={address} {socket}" || cfg.Spawn.Env["AT"] != "{port}" {
		t.Errorf("%v: %+v", err, cfg.Spawn)
	}
}

func TestAdaptPlaceholders(t *testing.T) {
	got, err := adapt(":80 {\nsluice {env.APP_SOCKET}\n}\n")
	if err != nil || !strings.Contains(got, `"{env.APP_SOCKET}"`) {
		t.Errorf("%v\n%s", err, got)
	}
}
