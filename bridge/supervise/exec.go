package supervise

import "github.com/sluice-proxy/sluice/bridge/supervise/internal/proc"

// Lacks says what this system cannot do, for the log; "" if nothing.
const Lacks = proc.Lacks

// Child executes the command if a Group has started this process for that; else it returns at
// once. A program that sets Config.Reexec calls it first thing in main.
func Child() { proc.ExecChild() }
