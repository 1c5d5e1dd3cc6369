//go:build linux && (amd64 || arm64)

package integration

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// testKernel is a kernel that setup.sh unpacks: Debian's for virtual machines, which needs
// no modules for what is tested here.
const testKernel = "/usr/local/share/sluice-test/vmlinuz"

// cgroupTag has the tests built that need cgroups of their own, which are in cgroupPackages.
const cgroupTag = "owncgroups"

var cgroupPackages = []string{
	"../bridge/supervise", "../bridge/supervise/internal/memlimit", "../bridge/supervise/internal/proc",
}

// emulator is what emulates a machine like this one, and what its kernel calls the serial
// line. On other architectures than these this file is not built: setup.sh has no kernel for
// them.
var emulator = map[string]struct {
	program string
	machine []string
	console string
}{
	"amd64": {"qemu-system-x86_64", []string{"-cpu", "max"}, "ttyS0"},
	"arm64": {"qemu-system-aarch64", []string{"-machine", "virt", "-cpu", "cortex-a72"}, "ttyAMA0"},
}[runtime.GOARCH]

// TestMemoryCgroups runs the tests of bridge/supervise that need cgroups for real, as root
// and as an ordinary user, on machines that are made for it: this machine's cgroups are not
// the test's own.
func TestMemoryCgroups(t *testing.T) {
	t.Parallel()
	qemu, kernel := need(t, emulator.program), need(t, testKernel)
	dir := t.TempDir()
	buildStatic(t, filepath.Join(dir, "init"), "build", "./testdata/vminit")
	files := []string{"init"}
	for _, pkg := range cgroupPackages {
		files = append(files, path.Base(pkg)+".test")
		buildStatic(t, filepath.Join(dir, path.Base(pkg)+".test"), "test", "-c", "-tags", cgroupTag, pkg)
	}
	initrd, disk := filepath.Join(dir, "initrd"), filepath.Join(dir, "disk")
	if err := os.WriteFile(initrd, archive(t, dir, files...), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(disk, make([]byte, 100<<20), 0o644); err != nil { // for TestCgroupFileCache
		t.Fatal(err)
	}
	want := cgroupTests(t)
	for _, machine := range []string{"account=root", "account=user"} {
		t.Run(machine, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			// Emulated, as virtual machines mostly have to.
			out, err := exec.CommandContext(ctx, "nice", append([]string{ // others have first call on the processors
				"-n", "10", qemu,
				"-accel", "tcg", "-m", "768", "-smp", "2",
				"-nodefaults", "-nographic", "-serial", "stdio", "-no-reboot",
				"-drive", "file=" + disk + ",format=raw,if=none,id=disk", "-device", "nvme,drive=disk,serial=1",
				"-kernel", kernel, "-initrd", initrd, "-append", "console=" + emulator.console + " quiet panic=-1 " + machine,
			}, emulator.machine...)...).CombinedOutput()
			var passed []string
			for _, m := range regexp.MustCompile(`(?m)^--- PASS: (\w+) `).FindAllSubmatch(out, -1) {
				passed = append(passed, string(m[1]))
			}
			slices.Sort(passed)
			if err != nil || !slices.Equal(passed, want) || !strings.Contains(string(out), "vminit: done, error <nil>") {
				t.Errorf("passed are %v, want %v; %v\n%s", passed, want, err, out)
			}
		})
	}
}

// cgroupTests are the names of the tests that have to pass.
func cgroupTests(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"test", "-tags", cgroupTag, "-list", "Cgroup"}, cgroupPackages...)...).Output()
	if err != nil {
		t.Fatalf("go test -list: %v", err)
	}
	var names []string
	for name := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(name, "Test") {
			names = append(names, name)
		}
	}
	if len(names) < 5 {
		t.Fatalf("tests are %v", names)
	}
	slices.Sort(names)
	return names
}

// buildStatic builds a program that needs no libraries.
func buildStatic(t *testing.T, to string, args ...string) {
	t.Helper()
	args = slices.Insert(args, len(args)-1, "-o", to)
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
}

// archive makes what the kernel unpacks as its first file system: cpio's "newc" format,
// see Documentation/driver-api/early-userspace/buffer-format.rst in its source.
func archive(t *testing.T, dir string, names ...string) []byte {
	t.Helper()
	var b cpio
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		b.add(syscall.S_IFREG|0o755, name, content)
	}
	return b.end()
}

// cpio is an archive that is being made.
type cpio struct {
	bytes.Buffer
	number int
}

func (b *cpio) add(mode int, name string, content []byte) {
	b.number++
	fmt.Fprintf(b, "070701%08X%08X%024X%08X%08X%032X%08X%08X", b.number, mode, 1, 0, len(content), 0, len(name)+1, 0)
	b.WriteString(name)
	b.WriteByte(0)
	b.Write(make([]byte, -b.Len()&3))
	b.Write(content)
	b.Write(make([]byte, -b.Len()&3))
}

func (b *cpio) end() []byte {
	b.add(0, "TRAILER!!!", nil)
	return b.Bytes()
}

// addTree adds what is below a directory.
func (b *cpio) addTree(root string) error {
	return filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, root+"/")
		mode := int(info.Sys().(*syscall.Stat_t).Mode)
		var content []byte
		switch info.Mode().Type() {
		case fs.ModeSymlink:
			var to string
			to, err = os.Readlink(path)
			content = []byte(to)
		case 0:
			content, err = os.ReadFile(path)
		}
		b.add(mode, name, content)
		return err
	})
}
