package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
)

// catchSignals catches the signals of serve until the process ends. Their default action would
// interrupt the start, the drain or the end.
func catchSignals() <-chan os.Signal {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1)
	return signals
}

// surviveBrokenPipes keeps SIGPIPE from ending the process when a reader of standard output or
// standard error is gone. The signal is caught, not ignored, because children would inherit that.
func surviveBrokenPipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// isTermination reports whether s ends the process.
func isTermination(s os.Signal) bool { return s == syscall.SIGTERM || s == syscall.SIGINT }

// serveUntilSignal returns nil on SIGTERM and SIGINT, and an error if a server fails. SIGUSR1 reopens
// the access log; SIGHUP also restarts the application.
func serveUntilSignal(signals <-chan os.Signal, failed <-chan error, b *bridge.Handler, access *accessLog, log *slog.Logger) error {
	ctx, cancel := context.WithCancel(context.Background())
	var restarts sync.WaitGroup
	defer restarts.Wait()
	defer cancel()
	for {
		select {
		case err := <-failed:
			return fmt.Errorf("serving: %w", err)
		case s := <-signals:
			if isTermination(s) {
				log.Info("draining", "signal", s.String())
				return nil
			}
			reopen(access, log)
			if s == syscall.SIGHUP {
				restarts.Go(func() { restart(ctx, b, log) })
			}
		}
	}
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

// restart replaces the application's processes, if Sluice has started them.
func restart(ctx context.Context, b *bridge.Handler, log *slog.Logger) {
	if err := b.Application().Restart(ctx); err == nil {
		log.Info("the application was restarted")
	} // otherwise Restart has logged the reason
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
				reopen(access, log) // a restart makes no sense any more
			}
		}
	})
	return ctx, func() {
		cancel()
		watch.Wait()
	}
}
