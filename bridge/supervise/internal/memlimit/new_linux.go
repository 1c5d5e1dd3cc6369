package memlimit

import (
	"log/slog"
)

// New returns the best Controller there is for these limits. record is told of a cgroup before
// that is made: if this process is killed, another one has to remove it, see RemoveCgroup.
func New(limits Limits, record func(cgroup string) error, log *slog.Logger) (Controller, error) {
	if limits == (Limits{}) {
		return newProcController(), nil
	}
	m, err := newCgroupController(limits, record)
	if err != nil {
		log.Info("memory limits are kept by looking at /proc, not by the kernel: they can be exceeded for a moment", "reason", err.Error())
		return newProcController(), nil
	}
	log.Info("memory limits are kept by the kernel", "by", m.Kind(), "cgroup", string(m.group))
	return m, nil
}
