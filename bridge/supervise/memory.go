package supervise

import "fmt"

// Memory limits the memory of processes, in bytes; 0 is no limit. What counts is memory that the
// kernel cannot take back at once: where it keeps the limits (cgroups) all but the pages of
// files that were not used lately, else the sum of the proportional set sizes.
type Memory struct {
	// Soft is how much an instance may use before it is replaced, without losing a request. It
	// must be less than Hard and Total.
	Soft uint64
	// Hard is how much an instance may use before it is killed, with all its processes. It must
	// not be more than Total.
	Hard uint64
	// Total is how much all instances may use together. No process is started beyond it.
	Total uint64
}

// leastMemory is less than any program needs: a lower limit was meant in another unit.
const leastMemory = 1 << 20

func (m Memory) check() error {
	for _, l := range []struct {
		name  string
		bytes uint64
	}{{"soft", m.Soft}, {"hard", m.Hard}, {"total", m.Total}} {
		if l.bytes > 0 && l.bytes < leastMemory {
			return fmt.Errorf("%s memory limit of %d bytes: want %d (1 MiB) at least", l.name, l.bytes, leastMemory)
		}
	}
	if m.Soft > 0 && m.Hard > 0 && m.Soft >= m.Hard {
		return fmt.Errorf("soft memory limit of %d bytes: must be less than the hard one of %d, or it never counts", m.Soft, m.Hard)
	}
	if m.Soft > 0 && m.Total > 0 && m.Soft >= m.Total {
		return fmt.Errorf("soft memory limit of %d bytes: must be less than the total of %d, or it never counts", m.Soft, m.Total)
	}
	if m.Hard > 0 && m.Total > 0 && m.Hard > m.Total {
		return fmt.Errorf("hard memory limit of %d bytes: must not be more than the total of %d, or it never counts", m.Hard, m.Total)
	}
	return nil
}
