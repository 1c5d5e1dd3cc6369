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

// catchSignals catches those that mean something from now on, until the end: what they do
// if nobody catches them would cut off what is being started, drained or ended.
func catchSignals() <-chan os.Signal {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1)
	return signals
}

// surviveBrokenPipes has writing to standard output or standard error fail when whoever
// read it has gone; it would end the process. It is not ignored, for what is started would
// inherit that.
func surviveBrokenPipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// isEnd reports whether a signal asks for the end.
func isEnd(s os.Signal) bool { return s == syscall.SIGTERM || s == syscall.SIGINT }

// untilSignal returns nil on SIGTERM and SIGINT, and an error if a server fails. SIGUSR1
// reopens the access log; SIGHUP does, too, and restarts the application.
func untilSignal(signals <-chan os.Signal, failed <-chan error, b *bridge.Handler, access *accessLog, log *slog.Logger) error {
	ctx, cancel := context.WithCancel(context.Background())
	var restarts sync.WaitGroup
	defer restarts.Wait()
	defer cancel()
	for {
		select {
		case err := <-failed:
			return fmt.Errorf("serving: %w", err)
		case s := <-signals:
			if isEnd(s) {
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

// reopen opens the access log anew. Nobody waits for that: a file system that hangs is no
// reason not to heed the next signal.
func reopen(access *accessLog, log *slog.Logger) {
	go func() {
		if err := access.reopen(); err != nil {
			log.Error("reopening the access log failed; the old one stays open", "error", err.Error())
		}
	}()
}

// restart replaces the application's processes, if they are ours.
func restart(ctx context.Context, b *bridge.Handler, log *slog.Logger) {
	if err := b.Application().Restart(ctx); err == nil {
		log.Info("the application was restarted")
	} // else it says why not
}

// untilEnd returns a context that ends after timeout, or when another signal asks for the
// end, and what is to be called when it is not needed any more.
func untilEnd(signals <-chan os.Signal, timeout time.Duration, access *accessLog, log *slog.Logger) (context.Context, func()) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case s := <-signals:
				if isEnd(s) {
					cancel()
					return
				}
				reopen(access, log) // there is nothing to restart any more
			}
		}
	})
	return ctx, func() {
		cancel()
		watch.Wait()
	}
}
