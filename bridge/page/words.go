package page

import (
	"fmt"
	"time"
)

// count is "1 worker" or "3 workers".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// workersAre is "1 of 16 workers is", or "3 of 16 workers are".
func workersAre(n, all int) string {
	verb := "are"
	if n == 1 {
		verb = "is"
	}
	return fmt.Sprintf("%d of %s %s", n, count(all, "worker"), verb)
}

func allWorkers(n int) string {
	if n == 1 {
		return "The only worker is"
	}
	return fmt.Sprintf("All %d workers are", n)
}

func isAre(n int, noun string) string {
	if n == 1 {
		return count(n, noun) + " is"
	}
	return count(n, noun) + " are"
}

func waitsWait(n int, noun string) string {
	if n == 1 {
		return count(n, noun) + " waits"
	}
	return count(n, noun) + " wait"
}

func worksWork(n int) string {
	if n == 1 {
		return "1 worker works"
	}
	return fmt.Sprintf("%d workers work", n)
}

func wasWere(n int) string {
	if n == 1 {
		return "was"
	}
	return "were"
}

func wasRefused(n int) string { return count(n, "request") + " " + wasWere(n) }

func times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}

// round is a time in the units that people tell it in.
func round(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.0f h", d.Hours())
	}
	return fmt.Sprintf("%.0f days", d.Hours()/24)
}
