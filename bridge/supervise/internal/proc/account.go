package proc

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
)

// Account is a user and groups to run as.
type Account struct {
	UID, GID   int
	Groups     []int  // supplementary ones
	Name, Home string // "" if only the group changes
}

// Equal reports whether both are the same; nil is equal to nil alone.
func (a *Account) Equal(b *Account) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.UID == b.UID && a.GID == b.GID && slices.Equal(a.Groups, b.Groups) && a.Name == b.Name && a.Home == b.Home
}

// LookUp finds a user and a group by name or number. A nil Account means that nothing
// changes.
func LookUp(userName, groupName string) (*Account, error) {
	if userName == "" && groupName == "" {
		return nil, nil
	}
	a := &Account{UID: os.Geteuid(), GID: os.Getegid()}
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
		if a.GID, err = strconv.Atoi(g.Gid); err != nil {
			return nil, fmt.Errorf("group %q: %w", groupName, err)
		}
		if userName == "" {
			a.Groups = []int{a.GID}
		}
	}
	if os.Geteuid() == 0 {
		return a, nil
	}
	if a.UID == os.Geteuid() && a.GID == os.Getegid() {
		return nil, nil // this process runs as that already
	}
	return nil, fmt.Errorf("user %q, group %q: only root can run the command as another user", userName, groupName)
}

func (a *Account) setUser(name string) error {
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
	a.UID, a.GID, a.Name, a.Home = number(u.Uid), number(u.Gid), u.Username, u.HomeDir
	for _, g := range groups {
		a.Groups = append(a.Groups, number(g))
	}
	if bad != nil {
		return fmt.Errorf("user %q: %w", name, bad)
	}
	return nil
}
