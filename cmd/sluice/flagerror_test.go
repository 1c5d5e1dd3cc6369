package main

import (
	"errors"
	"testing"
)

func TestFlagError(t *testing.T) {
	for text, want := range map[string]string{
		`cgi: root: preset "php" needs the directory of its scripts`: `--root: preset "php" needs the directory of its scripts`,
		`cgi: hide "/a\"b: c": can match nothing`:                    `--hide "/a\"b: c": can match nothing`,
		`cgi: env A: the value must not hold NUL or CR`:              `--env A: the value must not hold NUL or CR`,
		`cgi: root or follow "/a": must not hold`:                    `--root or --follow "/a": must not hold`,
		`long_poll: "/a%20": can match nothing`:                      `--long-poll: "/a%20": can match nothing`,
		`auth.realm "\n": want letters`:                              `--auth-realm "\n": want letters`,
		`spawn: no such program`:                                     `no such program`,
		`spawn.max_instances: is 2, and spawn.instances is 3`:        `--command-max-instances: is 2, and --command-instances is 3`,
		`open /etc/x: permission denied`:                             `open /etc/x: permission denied`,
		`admission.unknown: is 5`:                                    `admission.unknown: is 5`,
		`cgi: app_root: means nothing while check_files is off`:      `--app-root: means nothing while --check-files is off`,
		`hide "max_body": "max_body" is not max_body`:                `--hide "max_body": "max_body" is not --max-body`,
	} {
		if got := flagError(errors.New(text)).Error(); got != want {
			t.Errorf("%s\ngives %s\nwant  %s", text, got, want)
		}
	}
}
