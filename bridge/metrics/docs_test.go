package metrics

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// row returns the line of a metric in docs/metrics.md.
func row(f family) string {
	kind := map[bool]string{true: "counter", false: "gauge"}[f.kind == counter]
	if f.name == "gate_wait_seconds" {
		kind = "histogram"
	}
	name := "`sluice_" + f.name + "`"
	if len(f.labels) > 0 {
		name += " `{" + strings.Join(f.labels, ", ") + "}`"
	}
	return fmt.Sprintf("| %s | %s | %s |", name, kind, f.help)
}

func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for line := range strings.Lines(string(text)) {
		// The metrics of cmd/sluice are tested there.
		if strings.HasPrefix(line, "| `sluice_") && !strings.HasPrefix(line, "| `sluice_front_") {
			rows = append(rows, strings.TrimSpace(line))
		}
	}
	var want []string
	for _, f := range families() {
		want = append(want, row(f))
	}
	for _, r := range want {
		if !slices.Contains(rows, r) {
			t.Errorf("missing: %s", r)
		}
	}
	for _, r := range rows {
		if !slices.Contains(want, r) {
			t.Errorf("no such metric: %s", r)
		}
	}
}

func TestAlertsAreOnMetricsThatExist(t *testing.T) {
	text, err := os.ReadFile("../../docs/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`\bsluice_[a-z_]+`).FindAllString(string(text), -1)
	if len(names) < 5 {
		t.Fatalf("names: %q", names)
	}
	for _, name := range names {
		if strings.HasPrefix(name, "sluice_front_") {
			continue // cmd/sluice's
		}
		name = strings.TrimSuffix(strings.TrimPrefix(name, "sluice_"), "_bucket")
		if !slices.ContainsFunc(families(), func(f family) bool { return f.name == name }) {
			t.Errorf("there is no %s", name)
		}
	}
}
