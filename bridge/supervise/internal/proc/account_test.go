package proc

import (
	"os"
	"strings"
	"testing"
)

func TestLookUp(t *testing.T) {
	for want, names := range map[string][2]string{
		`user "no-such-user": there is none of that name or number`:   {"no-such-user", ""},
		`user "4294967290": there is none of that name or number`:     {"4294967290", ""},
		`group "no-such-group": there is none of that name or number`: {"", "no-such-group"},
	} {
		if _, err := LookUp(names[0], names[1]); err == nil || err.Error() != want {
			t.Errorf("%v: %v, want %s", names, err, want)
		}
	}
	if a, err := LookUp("", ""); a != nil || err != nil {
		t.Errorf("no user and no group is %v, %v", a, err)
	}
	byName, err := LookUp("root", "")
	if os.Geteuid() != 0 {
		if err == nil || !strings.Contains(err.Error(), "only root") {
			t.Errorf("root is %v, %v", byName, err)
		}
		return
	}
	byNumber, err2 := LookUp("0", "0")
	for _, a := range []*Account{byName, byNumber} {
		if err != nil || err2 != nil || a.UID != 0 || a.GID != 0 || a.Name != "root" || a.Home == "" || len(a.Groups) == 0 {
			t.Errorf("root is %+v, %v, %v", a, err, err2)
		}
	}
}
