package proc

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestTail(t *testing.T) {
	var many strings.Builder
	var last []string
	for i := range 100 {
		fmt.Fprintf(&many, "line %d\n", i)
		if i >= 100-tailLines {
			last = append(last, fmt.Sprintf("line %d", i))
		}
	}
	for name, tc := range map[string]struct {
		text string
		want []string
	}{
		"nothing":    {"", nil},
		"lines":      {"one\ntwo\r\n\nthree", []string{"one", "two", "three"}},
		"many":       {many.String(), last},
		"long":       {strings.Repeat("x", tailWidth+7) + "\nend\n", []string{strings.Repeat("x", tailWidth) + " [7 bytes more]", "end"}},
		"not UTF-8":  {"a\xffb\n", []string{"a\ufffdb"}},
		"just right": {strings.Repeat("x", tailWidth) + "\n", []string{strings.Repeat("x", tailWidth)}},
	} {
		for _, size := range []int{1, 3, 1 << 20} {
			t.Run(fmt.Sprintf("%s by %d", name, size), func(t *testing.T) {
				var got tail
				for c := range slices.Chunk([]byte(tc.text), size) {
					got.write(c)
				}
				if !slices.Equal(got.lines(), tc.want) {
					t.Errorf("got %q, want %q", got.lines(), tc.want)
				}
			})
		}
	}
}
