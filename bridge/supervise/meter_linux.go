package supervise

import (
	"log/slog"
)

// newMeters returns the best meters there are for these limits. runDir is told of what a
// later start has to remove if this process is killed.
func newMeters(limits Memory, runDir string, log *slog.Logger) (meters, error) {
	if !limits.limited() {
		return newProcMeters(), nil
	}
	m, err := newCgroupMeters(limits, runDir)
	if err != nil {
		log.Info("memory limits are kept by looking at /proc, not by the kernel: they can be exceeded for a moment", "reason", err.Error())
		return newProcMeters(), nil
	}
	log.Info("memory limits are kept by the kernel", "by", m.kind(), "cgroup", string(m.group))
	return m, nil
}
