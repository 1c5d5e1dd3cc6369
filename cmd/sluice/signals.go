package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/connlimit"
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
func untilSignal(signals <-chan os.Signal, failed <-chan error, b *bridge.Bridge, access *accessLog, log *slog.Logger) error {
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
func restart(ctx context.Context, b *bridge.Bridge, log *slog.Logger) {
	if err := b.Restart(ctx); err == nil {
		log.Info("the application was restarted")
	} // else it says why not
}

// limited is a server and the limit of its connections.
type limited struct {
	*http.Server
	limit *connlimit.Limit
}

// drain lets requests finish within timeout, or until another signal asks for the end,
// then cuts those that have not.
func drain(signals <-chan os.Signal, servers []limited, timeout time.Duration, access *accessLog, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
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
	for _, s := range servers {
		if err := s.Shutdown(ctx); err != nil {
			why := "a second signal came"
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				why = "the drain timeout is over"
			}
			log.Warn("not everything has finished; closing what is left", "because", why, "drain_timeout", timeout)
			s.limit.Abort() // not what Close does: an answer without a length would look complete
			_ = s.Close()
		}
	}
	log.Info("drained")
}
