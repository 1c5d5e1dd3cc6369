package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
)

// untilSignal returns nil on SIGTERM and SIGINT, and an error if a server fails. SIGUSR1
// reopens the access log; SIGHUP does, too, and restarts the application.
func untilSignal(failed <-chan error, b *bridge.Bridge, access *accessLog, log *slog.Logger) error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1)
	defer signal.Stop(signals)
	ctx, cancel := context.WithCancel(context.Background())
	var restarts sync.WaitGroup
	defer restarts.Wait()
	defer cancel()
	for {
		select {
		case err := <-failed:
			return fmt.Errorf("serving: %w", err)
		case s := <-signals:
			switch s {
			case syscall.SIGUSR1:
				reopen(access, log)
			case syscall.SIGHUP:
				reopen(access, log)
				restarts.Go(func() { restart(ctx, b, log) })
			default:
				log.Info("draining", "signal", s.String())
				return nil
			}
		}
	}
}

func reopen(access *accessLog, log *slog.Logger) {
	if err := access.reopen(); err != nil {
		log.Error("reopening the access log failed; the old one stays open", "error", err.Error())
	}
}

// restart replaces the application's processes, if they are ours.
func restart(ctx context.Context, b *bridge.Bridge, log *slog.Logger) {
	if err := b.Restart(ctx); err == nil {
		log.Info("the application was restarted")
	} // else it says why not
}

// drain lets requests finish within timeout, or until another signal comes, then
// cuts those that have not.
func drain(servers []*http.Server, timeout time.Duration, log *slog.Logger) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for _, s := range servers {
		if err := s.Shutdown(ctx); err != nil {
			log.Warn("not everything has finished; closing what is left", "drain_timeout", timeout)
			_ = s.Close()
		}
	}
	log.Info("drained")
}
