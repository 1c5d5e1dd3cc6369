package supervise

import (
	"strings"
	"testing"
)

func TestMemoryCheck(t *testing.T) {
	const mib = 1 << 20
	for name, tc := range map[string]struct {
		limits Memory
		want   string // "": valid
	}{
		"none":                     {Memory{}, ""},
		"all":                      {Memory{Soft: 2 * mib, Hard: 3 * mib, Total: 9 * mib}, ""},
		"hard is the total":        {Memory{Soft: 2 * mib, Hard: 3 * mib, Total: 3 * mib}, ""},
		"soft alone":               {Memory{Soft: mib}, ""},
		"total alone":              {Memory{Total: mib}, ""},
		"soft is hard":             {Memory{Soft: 2 * mib, Hard: 2 * mib}, "soft memory limit of 2097152 bytes: must be less than the hard one"},
		"soft is more than hard":   {Memory{Soft: 3 * mib, Hard: 2 * mib}, "must be less than the hard one of 2097152"},
		"soft is the total":        {Memory{Soft: 2 * mib, Total: 2 * mib}, "must be less than the total"},
		"hard is more than total":  {Memory{Hard: 2*mib + 1, Total: 2 * mib}, "hard memory limit of 2097153 bytes: must not be more than the total"},
		"megabytes, not bytes":     {Memory{Hard: 512}, "hard memory limit of 512 bytes: want 1048576"},
		"soft in megabytes":        {Memory{Soft: 512, Hard: mib}, "soft memory limit of 512 bytes"},
		"total in megabytes":       {Memory{Total: mib - 1}, "total memory limit of 1048575 bytes"},
		"soft less, hard too much": {Memory{Soft: mib, Hard: 4 * mib, Total: 3 * mib}, "hard memory limit"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.limits.check()
			if tc.want == "" {
				if err != nil {
					t.Errorf("check: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("check: %v, want %q", err, tc.want)
			}
		})
	}
}
