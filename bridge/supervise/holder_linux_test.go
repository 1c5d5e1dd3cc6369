package supervise

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// holderVariable makes this program a holder: one that obeys its standard input if it is
// "asks", else one that carries out the orders in it, separated by ";", one at the
// beginning and one at each SIGUSR1, for it may have a socket as its standard input.
const holderVariable = "SLUICE_TEST_HOLDER"

// holder is a program that takes memory when it is told to.
type holder struct {
	*exec.Cmd
	tell  io.WriteCloser
	heard *bufio.Scanner
}

func startHolder(t *testing.T) *holder {
	t.Helper()
	h := &holder{Cmd: exec.Command("/proc/self/exe")}
	h.Env = append(os.Environ(), holderVariable+"=asks")
	h.Stderr = os.Stderr
	h.SysProcAttr = childAttr()
	var err error
	if h.tell, err = h.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := h.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	h.heard = bufio.NewScanner(out)
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-h.Process.Pid, syscall.SIGKILL)
		_ = h.Wait()
	})
	return h
}

// do has the holder carry out an order, and reports whether it could.
func (h *holder) do(order string, args ...any) (answer string, ok bool) {
	if _, err := fmt.Fprintf(h.tell, order+"\n", args...); err != nil {
		return "", false
	}
	ok = h.heard.Scan()
	return h.heard.Text(), ok
}

// take has the holder take bytes of memory.
func (h *holder) take(t *testing.T, bytes int) {
	t.Helper()
	if _, ok := h.do("take %d", bytes); !ok {
		t.Fatalf("the holder did not get %d bytes: %v", bytes, h.Wait())
	}
}

// fork has the holder start another that is in its session, or leads one of its own
// ("fork away"), and returns the process id.
func (h *holder) fork(t *testing.T, how string) (pid int) {
	t.Helper()
	answer, ok := h.do(how)
	if _, err := fmt.Sscan(answer, &pid); !ok || err != nil {
		t.Fatalf("%s: %q, %v", how, answer, err)
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Kill() // it may have ended
		_ = p.Release()
	})
	return pid
}

// hold is the holder's main.
func hold() {
	if orders := os.Getenv(holderVariable); orders != "asks" {
		holdBySignal(strings.Split(orders, ";"))
	}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		fmt.Println(mustObey(in.Text()))
	}
}

func holdBySignal(orders []string) {
	next := make(chan os.Signal, 1)
	signal.Notify(next, syscall.SIGUSR1)
	for _, o := range orders {
		fmt.Println(mustObey(o))
		<-next
	}
}

func mustObey(order string) string {
	answer, err := obey(order)
	if err != nil {
		fmt.Fprintln(os.Stderr, "holder:", err)
		os.Exit(1)
	}
	return answer
}

func obey(order string) (answer string, err error) {
	if how, ok := strings.CutPrefix(order, "fork"); ok {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), holderVariable+"=take 1") // it outlives us
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: how == " away", Setpgid: how == ""}
		err := cmd.Start()
		return fmt.Sprint(cmd.Process.Pid), err
	}
	if path, ok := strings.CutPrefix(order, "read "); ok {
		return "read", read(path)
	}
	var n int
	if _, err := fmt.Sscanf(order, "take %d", &n); err != nil {
		return "", err
	}
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	for i := 0; i < len(b); i += os.Getpagesize() {
		b[i] = 1
	}
	return "taken", err
}

// read leaves the file open: what was read of a disk is kept in memory for so long.
func read(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY, 0)
	b := make([]byte, 1<<20)
	for n := 1; n > 0 && err == nil; {
		n, err = unix.Read(fd, b)
	}
	return err
}

// isAlive reports whether a process runs.
func isAlive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(text), ") ")
	return err == nil && !strings.HasPrefix(after, "Z") && !strings.HasPrefix(after, "X")
}
