package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"
)

// catchSignals catches the signals of serve until the process ends. Their default action would
// interrupt the start, the drain or the end.
func catchSignals() <-chan os.Signal {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, append([]os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2}, upgradeSignals...)...)
	return signals
}

// surviveBrokenPipes keeps SIGPIPE from ending the process when a reader of standard output or
// standard error is gone. The signal is caught, not ignored, because children would inherit that.
func surviveBrokenPipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// isTermination reports whether s ends the process.
func isTermination(s os.Signal) bool { return s == syscall.SIGTERM || s == syscall.SIGINT }

// serveUntilSignal returns on SIGTERM and SIGINT, when another process has taken over, and with an error if a
// server fails. SIGUSR1 and SIGHUP reopen the access log; SIGHUP also loads the configuration
// again, and SIGUSR2 restarts the applications. In the end, it calls end, which ends life.
func (s *server) serveUntilSignal(end context.CancelFunc, signals <-chan os.Signal, failed <-chan error) (terminated bool, err error) {
	ctx := s.life
	var changes sync.WaitGroup
	defer changes.Wait()
	defer end()
	for {
		select {
		case <-s.succeeded:
			return false, nil
		case err := <-failed:
			return false, fmt.Errorf("serving: %w", err)
		case got := <-signals:
			if isTermination(got) {
				s.log.Info("draining", "signal", got.String())
				return true, nil
			}
			if slices.Contains(upgradeSignals, got) {
				changes.Go(func() { _, _ = s.upgrade(ctx) }) // which logs what came of it
				continue
			}
			if got != syscall.SIGUSR2 {
				reopen(s.access, s.log)
			}
			switch got {
			case syscall.SIGHUP:
				changes.Go(func() { s.reloadOnSignal(ctx) })
			case syscall.SIGUSR2:
				changes.Go(func() {
					if n, err := s.restart(ctx, ""); err != nil {
						s.log.Warn("not everything was restarted", "restarted", n, "because", err.Error(), "advice", "mend what the reason names, and restart once more: the others were restarted")
					}
				})
			}
		}
	}
}

// reloadOnSignal is reload; the log has what came of it.
func (s *server) reloadOnSignal(ctx context.Context) {
	switch err := s.reload(ctx); { // which has logged other reasons
	case errors.Is(err, errNoFile):
		s.log.Info("SIGHUP has reopened the access log; " + errNoFile.Error() + ", and so does SIGUSR2")
	case errors.Is(err, errEnding):
		warnEnding(s.log, syscall.SIGHUP)
	}
}

// warnEnding says that a signal does not do what it does otherwise.
func warnEnding(log *slog.Logger, got os.Signal) {
	log.Warn("a signal has reopened the access log alone, because this process is ending", "signal", got.String(), "advice", "if another process has taken over, send it there")
}

// reopen opens the access log again, in the background: a file system that hangs must not delay the
// next signal.
func reopen(access *accessLog, log *slog.Logger) {
	go func() {
		if err := access.reopen(); err != nil {
			log.Error("reopening the access log failed; the old one stays open", "error", err.Error(), "advice", "let the user that Sluice runs as write there, and send SIGUSR1 again")
		}
	}()
}

// drainContext returns a context that ends after timeout or at the next terminating signal, and a
// function to release it.
func drainContext(signals <-chan os.Signal, timeout time.Duration, access *accessLog, log *slog.Logger) (context.Context, func()) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case s := <-signals:
				if isTermination(s) {
					cancel()
					return
				}
				reopen(access, log)
				if s != syscall.SIGUSR1 {
					warnEnding(log, s)
				}
			}
		}
	})
	return ctx, func() {
		cancel()
		watch.Wait()
	}
}
