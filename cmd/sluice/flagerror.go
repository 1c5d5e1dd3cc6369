package main

import (
	"errors"
	"regexp"
	"strings"
)

// flagOf is the flag for each key of bridge.Config, and of others, that an error may begin
// with. Keys about the command have flags of nearly the same name.
var flagOf = map[string]string{
	"backends":                       "--backend",
	"workers":                        "--workers",
	"preset":                         "--preset",
	"mount":                          "--mount",
	"root":                           "--root",
	"root or follow":                 "--root or --follow",
	"resolve_root_symlink":           "--resolve-root-symlink",
	"app_root":                       "--app-root",
	"check_files":                    "--check-files",
	"virtual":                        "--virtual",
	"follow":                         "--follow",
	"static":                         "--static",
	"static_types":                   "--static-types",
	"static_dirs":                    "--static-dirs",
	"index":                          "--index",
	"fallback":                       "--fallback",
	"hide":                           "--hide",
	"env":                            "--env",
	"trusted_proxies":                "--trusted-proxy",
	"user_header":                    "--user-header",
	"underscore_headers":             "--underscore-headers",
	"sendfile":                       "--sendfile",
	"max_body":                       "--max-body",
	"max_params":                     "--max-params",
	"max_response_header":            "--max-response-header",
	"request_buffering":              "--request-buffering",
	"keep_alive":                     "--keep-alive",
	"multiplex":                      "--multiplex",
	"lanes":                          "--lanes",
	"long_poll":                      "--long-poll",
	"reserve":                        "--reserve",
	"queue.size":                     "--queue-size",
	"queue.long_size":                "--queue-long-size",
	"queue.timeout":                  "--queue-timeout",
	"queue.long_timeout":             "--queue-long-timeout",
	"queue.poll_answer.status":       "--poll-answer-status",
	"queue.poll_answer.body":         "--poll-answer-body",
	"queue.poll_answer.content_type": "--poll-answer-type",
	"flow.key":                       "--flow-key",
	"flow.limit":                     "--flow-limit",
	"flow.max_addresses":             "--flow-max-addresses",
	"flow.per":                       "--flow-max-addresses",
	"flow.excess":                    "--flow-excess",
	"admission.long_after":           "--long-after",
	"admission.stall_after":          "--stall-after",
	"timeouts.dial":                  "--dial-timeout",
	"timeouts.send":                  "--send-timeout",
	"timeouts.first_byte":            "--first-byte-timeout",
	"timeouts.between_bytes":         "--between-bytes-timeout",
	"timeouts.request":               "--request-timeout",
	"timeouts.idle":                  "--idle-timeout",
	"timeouts.abandoned":             "--abandoned-timeout",
	"timeouts.client":                "--client-timeout",
	"spool.dir":                      "--spool-dir",
	"spool.buffer":                   "--spool-buffer",
	"spool.memory":                   "--spool-memory",
	"spool.disk":                     "--spool-disk",
	"file":                           "--auth-file",
	"path":                           "--auth-path",
	"realm":                          "--auth-realm",
}

// keyed is an error that begins with a key, and perhaps its value.
var keyed = regexp.MustCompile(`^(?:cgi: |auth: )?([a-z_]+(?: or [a-z]+|(?:\.[a-z_]+)+)?)( "(?:[^"\\]|\\.)*"| [A-Za-z0-9_]+)?: `)

// flagError names the flag in an error that begins with a key.
func flagError(err error) error {
	text := err.Error()
	m := keyed.FindStringSubmatch(text)
	if m == nil {
		return err
	}
	key, value, rest := m[1], m[2], text[len(m[0]):]
	if key == "spawn" { // the command itself is what is wrong
		return errors.New(rest)
	}
	if flag, ok := flagOf[key]; ok {
		return errors.New(flag + value + ": " + rest)
	}
	if strings.HasPrefix(key, "spawn.") {
		return errors.New(spawnKey.ReplaceAllStringFunc(text, commandFlag))
	}
	return err
}

// spawnKey is a key about the command.
var spawnKey = regexp.MustCompile(`spawn\.[a-z_]+`)

func commandFlag(key string) string {
	if key == "spawn.budget" {
		return "--" + commandFlags + "spawn-budget"
	}
	return "--" + commandFlags + strings.ReplaceAll(strings.TrimPrefix(key, "spawn."), "_", "-")
}
