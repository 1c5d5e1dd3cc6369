package seeds

import (
	"slices"
	"testing"
)

func TestChoose(t *testing.T) {
	for _, tc := range []struct {
		first, count string
		want         [2]uint64
		fails        bool
	}{
		{"", "", [2]uint64{1, 60}, false},
		{"7", "", [2]uint64{7, 1}, false},
		{"", "1000", [2]uint64{4711, 1000}, false},
		{"7", "3", [2]uint64{7, 3}, false},
		{"18446744073709551615", "2", [2]uint64{1<<64 - 1, 2}, false},
		{"x", "", [2]uint64{}, true},
		{"", "-1", [2]uint64{}, true},
	} {
		first, count, err := choose(tc.first, tc.count, 60, func() uint64 { return 4711 })
		if (err != nil) != tc.fails || [2]uint64{first, count} != tc.want {
			t.Errorf("%q, %q: %d, %d, %v", tc.first, tc.count, first, count, err)
		}
	}
}

func TestOf(t *testing.T) {
	t.Setenv(firstVariable, "18446744073709551615")
	t.Setenv(countVariable, "3")
	if got := slices.Collect(Of(t, 60)); !slices.Equal(got, []uint64{1<<64 - 1, 0, 1}) {
		t.Errorf("%d", got)
	}
	for seed := range Of(t, 60) {
		if seed == 0 {
			break
		}
	}
}
