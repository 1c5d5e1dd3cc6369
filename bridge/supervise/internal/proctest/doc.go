// Package proctest has processes that tests control: they take memory, read files and start
// others when they are told to. They are the test program itself, whose TestMain calls Main.
package proctest
