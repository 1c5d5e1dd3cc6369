//go:build !pages

package main

import "github.com/spf13/cobra"

// packaging are the commands that only make packages needs: see pages.go.
func packaging() []*cobra.Command { return nil }
