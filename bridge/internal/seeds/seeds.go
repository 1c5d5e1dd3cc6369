package seeds

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

const (
	firstVariable = "SLUICE_SEED"
	countVariable = "SLUICE_SEEDS"
)

// Of returns the seeds for a test that uses usually of them by default.
func Of(t testing.TB, usually int) iter.Seq[uint64] {
	t.Helper()
	first, count, err := choose(os.Getenv(firstVariable), os.Getenv(countVariable), uint64(usually), rand.Uint64)
	if err != nil {
		t.Fatal(err)
	}
	if count != uint64(usually) || first != 1 {
		t.Logf("%d seeds from %s=%d", count, firstVariable, first)
	}
	return func(yield func(uint64) bool) {
		for i := range count {
			if !yield(first + i) {
				return
			}
		}
	}
}

// choose returns the first seed and their number, from the values of the variables.
func choose(firstText, countText string, usually uint64, fresh func() uint64) (first, count uint64, err error) {
	number := func(name, text string) (n uint64) {
		if n, err = strconv.ParseUint(text, 10, 64); err != nil {
			err = fmt.Errorf("%s=%s: want a number", name, text)
		}
		return n
	}
	first, count = 1, usually
	if firstText != "" {
		if first, count = number(firstVariable, firstText), 1; err != nil {
			return 0, 0, err
		}
	}
	if countText != "" {
		if count = number(countVariable, countText); err != nil {
			return 0, 0, err
		}
		if firstText == "" {
			first = fresh()
		}
	}
	return first, count, nil
}
