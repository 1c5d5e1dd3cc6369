package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	opts, err := parseOptions(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		fmt.Print(usage())
		return
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "peers: %v (--help lists what there is)\n", err)
		os.Exit(2)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = run(ctx, opts)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "peers: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, opts options) error {
	dir, err := os.MkdirTemp("", "sluice-peers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	b, err := newBench(ctx, dir, opts)
	if err != nil {
		return err
	}
	defer b.close()
	if err := b.measure(ctx); err != nil {
		return err
	}
	if err := b.park(ctx); err != nil {
		return err
	}

	if err := b.crowd(ctx); err != nil {
		return err
	}

	table := report(b)
	fmt.Print(table)
	if opts.out != "" {
		if err := os.WriteFile(opts.out, []byte(table), 0o644); err != nil {
			return err
		}
	}
	if opts.docs != "" {
		return b.document(opts.docs, table)
	}
	return nil
}
