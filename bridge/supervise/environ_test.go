package supervise

import (
	"slices"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/proc"
)

func TestEnvironment(t *testing.T) {
	ours := []string{
		"PATH=/bin", "HOME=/root", "USER=root", "LC_ALL=C", "LC=no", "LANGUAGES=no", "TZ=UTC",
		"SECRET=no", "TRAC_ENV=/srv/trac", "TRAC=no", "EMPTY=", "=C:=no", "WITH=a=b",
	}
	for name, tc := range map[string]struct {
		cfg  Config
		who  *proc.Account
		want string
	}{
		"no settings": {want: "HOME=/root LC_ALL=C PATH=/bin TZ=UTC USER=root"},
		"copied": {
			cfg:  Config{EnvCopy: []string{"TRAC_*", "EMPTY", "WITH", "ABSENT"}},
			want: "EMPTY= HOME=/root LC_ALL=C PATH=/bin TRAC_ENV=/srv/trac TZ=UTC USER=root WITH=a=b",
		},
		"given": {
			cfg:  Config{Env: []string{"PATH=/opt/bin", "NEW=", "TRAC_ENV=x=y"}, EnvCopy: []string{"TRAC_*"}},
			want: "HOME=/root LC_ALL=C NEW= PATH=/opt/bin TRAC_ENV=x=y TZ=UTC USER=root",
		},
		"another user": {
			cfg:  Config{Env: []string{"HOME=/srv"}},
			who:  &proc.Account{Name: "www-data", Home: "/var/www"},
			want: "HOME=/srv LC_ALL=C LOGNAME=www-data PATH=/bin TZ=UTC USER=www-data",
		},
		"another group": {who: &proc.Account{}, want: "HOME=/root LC_ALL=C PATH=/bin TZ=UTC USER=root"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tc.cfg.environment(ours, tc.who)
			if err != nil || !slices.Equal(got, strings.Fields(tc.want)) {
				t.Errorf("got  %v, %v\nwant %v", got, err, tc.want)
			}
		})
	}
}

func TestEnvironmentErrors(t *testing.T) {
	for want, cfg := range map[string]Config{
		`"NAME": want NAME=value`:    {Env: []string{"NAME"}},
		`"=v": want NAME=value`:      {Env: []string{"=v"}},
		`"A=\x00": want NAME=value`:  {Env: []string{"A=\x00"}},
		`A is given twice`:           {Env: []string{"A=1", "A=2"}},
		`"*": want the name of a`:    {EnvCopy: []string{"*"}},
		`"": want the name of a`:     {EnvCopy: []string{""}},
		`"A=1": want the name of a`:  {EnvCopy: []string{"A=1"}},
		`"A*B*": want the name of a`: {EnvCopy: []string{"A*B*"}},
	} {
		if _, err := cfg.environment(nil, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q %q: %v, want %s", cfg.Env, cfg.EnvCopy, err, want)
		}
	}
}
