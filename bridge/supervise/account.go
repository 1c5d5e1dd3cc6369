package supervise

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
)

// account is a user and groups to run as.
type account struct {
	uid, gid   int
	groups     []int  // supplementary ones
	name, home string // "" if only the group changes
}

func (a *account) equal(b *account) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.uid == b.uid && a.gid == b.gid && slices.Equal(a.groups, b.groups) && a.name == b.name && a.home == b.home
}

// lookUp finds a user and a group, by name or number. nil means that nothing changes.
func lookUp(userName, groupName string) (*account, error) {
	if userName == "" && groupName == "" {
		return nil, nil
	}
	a := &account{uid: os.Geteuid(), gid: os.Getegid()}
	if userName != "" {
		if err := a.setUser(userName); err != nil {
			return nil, err
		}
	}
	if groupName != "" {
		g, err := user.LookupGroup(groupName)
		if err != nil {
			if g, err = user.LookupGroupId(groupName); err != nil {
				return nil, fmt.Errorf("group %q: there is none of that name or number", groupName)
			}
		}
		if a.gid, err = strconv.Atoi(g.Gid); err != nil {
			return nil, fmt.Errorf("group %q: %w", groupName, err)
		}
		if userName == "" {
			a.groups = []int{a.gid}
		}
	}
	if os.Geteuid() == 0 {
		return a, nil
	}
	if a.uid == os.Geteuid() && a.gid == os.Getegid() {
		return nil, nil // that is who we are
	}
	return nil, fmt.Errorf("user %q, group %q: only root can run the command as somebody else", userName, groupName)
}

// warnOfRoot tells, once, if the command runs as root and nobody has said so.
func (p *plan) warnOfRoot() {
	if os.Geteuid() == 0 && p.User == "" {
		p.Logger.Warn("the command runs as root, as this process does: whoever finds a fault in it has the whole machine",
			"command", p.Command[0], "advice", "name the user it is to run as: spawn.user (--command-user); or root, if it must be")
	}
}

func (a *account) setUser(name string) error {
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.LookupId(name); err != nil {
			return fmt.Errorf("user %q: there is none of that name or number", name)
		}
	}
	groups, err := u.GroupIds()
	if err != nil {
		return fmt.Errorf("groups of user %q: %w", name, err)
	}
	var bad error
	number := func(text string) int {
		n, err := strconv.Atoi(text)
		bad = errors.Join(bad, err)
		return n
	}
	a.uid, a.gid, a.name, a.home = number(u.Uid), number(u.Gid), u.Username, u.HomeDir
	for _, g := range groups {
		a.groups = append(a.groups, number(g))
	}
	if bad != nil {
		return fmt.Errorf("user %q: %w", name, bad)
	}
	return nil
}
