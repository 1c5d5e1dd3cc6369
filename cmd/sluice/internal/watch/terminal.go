package watch

import (
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"
)

// IsTerminal reports whether f is a terminal.
func IsTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// terminal is a terminal that shows a page and gives single keys.
type terminal struct {
	in, out *os.File
	saved   *term.State
}

// What is switched on for a page, and off after it: the alternate screen, and no cursor. Without
// automatic wrapping, a line that is too wide cannot move the others.
const (
	enter = "\x1b[?1049h\x1b[?25l\x1b[?7l"
	leave = "\x1b[?7h\x1b[?25h\x1b[?1049l"
)

// openTerminal prepares the terminal. restore must be called.
func openTerminal(in, out *os.File) (*terminal, error) {
	saved, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, err
	}
	t := &terminal{in, out, saved}
	if _, err := out.WriteString(enter); err != nil {
		t.restore()
		return nil, err
	}
	return t, nil
}

// restore leaves the terminal as it was found.
func (t *terminal) restore() {
	_, _ = t.out.WriteString(leave) // if the terminal is gone, there is nothing to restore
	_ = term.Restore(int(t.in.Fd()), t.saved)
}

// size is 80 x 24 if the terminal does not know.
func (t *terminal) size() (width, height int) { return sizeOf(t.out) }

func sizeOf(f *os.File) (width, height int) {
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 1 || height < 1 {
		return 80, 24
	}
	return width, height
}

// draw replaces what is on the screen, in one write.
func (t *terminal) draw(lines []string) error {
	_, err := t.out.WriteString("\x1b[H" + strings.Join(lines, "\x1b[K\r\n") + "\x1b[K\x1b[J")
	return err
}

// stopPatience is how long the kernel may take to stop this process.
const stopPatience = 200 * time.Millisecond

// suspend gives the terminal back, stops the process as Ctrl-Z does elsewhere, and takes the
// terminal again when it goes on.
func (t *terminal) suspend() error {
	t.restore()
	continued := make(chan os.Signal, 1)
	signal.Notify(continued, syscall.SIGCONT)
	defer signal.Stop(continued)
	if err := syscall.Kill(0, syscall.SIGTSTP); err != nil {
		return err
	}
	select {
	case <-continued:
	case <-time.After(stopPatience): // the kernel stops nobody without a shell to let it go on
	}
	again, err := openTerminal(t.in, t.out)
	if err != nil {
		return err
	}
	t.saved = again.saved
	return nil
}

// readKeys sends what is typed until the terminal ends. It is a goroutine that ends with the
// process: a read from a terminal cannot be cancelled.
func readKeys(in *os.File, keys chan<- string) {
	defer close(keys)
	buf := make([]byte, 64)
	for {
		n, err := in.Read(buf)
		if err != nil {
			return
		}
		for _, key := range splitKeys(string(buf[:n])) {
			keys <- key
		}
	}
}

// splitKeys separates keys that arrive together. A key that is no character is a sequence that
// begins with ESC.
func splitKeys(s string) (keys []string) {
	for s != "" {
		n := 1
		if strings.HasPrefix(s, "\x1b[") || strings.HasPrefix(s, "\x1bO") {
			n = 2
			for n < len(s) && (s[n] < '@' || s[n] > '~') {
				n++
			}
			n = min(n+1, len(s))
		}
		keys, s = append(keys, s[:n]), s[n:]
	}
	return keys
}
