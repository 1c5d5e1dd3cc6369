package main

import "testing"

func TestFallbackFlag(t *testing.T) {
	if got := configOf(t, "--preset", "php", "--root", "/srv", "--fallback", "/index.php").Fallback; got != "/index.php" {
		t.Errorf("fallback %q", got)
	}
	if got := configOf(t, "--preset", "php", "--root", "/srv").Fallback; got != "" {
		t.Errorf("fallback %q without the flag", got)
	}
}
