package basicauth

import (
	"strings"
	"testing"
)

// Whatever a file holds, reading it says so or gives users whose passwords can be
// checked, and no error holds a password.
func FuzzFile(f *testing.F) {
	for _, hash := range []string{bcryptJane, apr1Jane, sha1Jane, sha256Jane, sha512Jane, md5Abc, "{SSHA}AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "geheimes", "$6$rounds=1000$abc$x"} {
		f.Add("jane", hash)
	}
	f.Add("# x", "")
	f.Add("a\nb:c", "$2y$04$")
	f.Fuzz(func(t *testing.T, name, hash string) {
		if strings.HasPrefix(hash, "$2") && len(hash) > 6 && hash[4:6] > "06" || strings.Contains(hash, "rounds=") {
			return // it would be checked for long
		}
		users, err := parse(strings.NewReader(name + ":" + hash))
		if err != nil {
			if len(hash) > 7 && !strings.Contains(name, hash) && strings.Contains(err.Error(), hash) {
				t.Errorf("%v holds the password", err)
			}
			return
		}
		for name, password := range users.users {
			if password.MatchesPassword("\x00 no such password") {
				t.Errorf("%q has any password", name)
			}
		}
	})
}
