package probe

import (
	"fmt"
	"strings"
)

// brief is a report in short: the three values and whether a request may follow
// them, keep-alive, what comes after an answer without it, multiplexing, and the
// capacity with what happens above it. A question mark is not known.
func brief(r *Report) string {
	var parts []string
	for _, name := range valueNames {
		parts = append(parts, short(r.Values[name]))
	}
	usable := map[string]string{"true": "usable", "false": "unusable", "?": "?"}[short(r.AfterValues)]
	multiplex := short(r.Multiplex)
	if strings.HasSuffix(r.Multiplex.Reason, notTried) {
		multiplex = "no multiplexing"
	}
	capacity := "?"
	if c := r.Capacity; c.Known {
		capacity = fmt.Sprintf("%d %s", c.Value.Connections, c.Value.Full)
	}
	return fmt.Sprintf("%s %s, %s, %s, %s, %s", strings.Join(parts, " "), usable, short(r.KeepAlive), short(r.Close), multiplex, capacity)
}

func short[T any](f Fact[T]) string {
	if !f.Known {
		return "?"
	}
	return fmt.Sprint(f.Value)
}
