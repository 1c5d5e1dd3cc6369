package basicauth

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/tg123/go-htpasswd"
)

// maxFile is the greatest size of a file in bytes.
const maxFile = 16 << 20

// table holds the users of a file, and the cached results for them.
type table struct {
	users map[string]htpasswd.EncodedPasswd
	decoy htpasswd.EncodedPasswd // verified in place of a user that does not exist
	cache *cache
}

// readFile reads a file. It returns the file's info even with an error, nil if the file could not be
// opened.
func readFile(name string) (*table, os.FileInfo, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, nil, err
	case !info.Mode().IsRegular():
		return nil, nil, fmt.Errorf("%s: is not a file", name)
	case info.Size() > maxFile:
		return nil, info, fmt.Errorf("%s: is %d bytes, want at most %d", name, info.Size(), maxFile)
	}
	t, err := parse(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, info, fmt.Errorf("%s: %w", name, err)
	}
	return t, info, nil
}

func parse(r io.Reader) (*table, error) {
	t := &table{users: make(map[string]htpasswd.EncodedPasswd), cache: newCache()}
	lines := bufio.NewScanner(r)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, password, err := parseLine(line)
		if err == nil && t.users[name] != nil {
			err = fmt.Errorf("user %q is there twice", name)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		t.users[name] = password
		if t.decoy == nil {
			t.decoy = password
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, errors.New("has a line that is too long (is it made by htpasswd?)")
	case err != nil:
		return nil, err
	case len(t.users) == 0:
		return nil, errors.New("has no user (add one: htpasswd -B FILE NAME)")
	}
	return t, nil
}

// parseLine parses "name:password", optionally with ":comment". Its errors do not contain the password,
// hashed or not.
func parseLine(line string) (name string, _ htpasswd.EncodedPasswd, err error) {
	name, rest, ok := strings.Cut(line, ":")
	switch {
	case !ok:
		return "", nil, errors.New("has no colon, want NAME:PASSWORD as htpasswd writes it")
	case name == "" || len(name) > maxName || strings.ContainsFunc(name, unicode.IsControl):
		return "", nil, errors.New("has no valid user name")
	}
	password, _, _ := strings.Cut(rest, ":")
	for _, f := range hashFormats {
		match := f.form.FindStringSubmatch(password)
		if match == nil {
			continue
		}
		if n, _ := strconv.Atoi(match[1]); n > f.most {
			return "", nil, fmt.Errorf("the password of %q takes too long to verify: its cost is %d, want at most %d", name, n, f.most)
		}
		encoded, err := f.accept(password)
		if err != nil || encoded == nil {
			break
		}
		return name, encoded, nil
	}
	return "", nil, fmt.Errorf("the password of %q is hashed in an unknown way, or not at all: set it anew with htpasswd -B (plain text and DES crypt are not accepted)", name)
}

// hashFormats has the accepted hashes. The group of each pattern is the cost of verification.
var hashFormats = []struct {
	form   *regexp.Regexp
	most   int
	accept htpasswd.PasswdParser
}{
	{regexp.MustCompile(`^\$2[aby]\$(\d\d)\$[./0-9A-Za-z]{53}$`), 16, htpasswd.AcceptBcrypt},
	{regexp.MustCompile(`^\$(?:apr1|1)\$()[./0-9A-Za-z]{1,8}\$[./0-9A-Za-z]{22}$`), 0, htpasswd.AcceptMd5},
	{regexp.MustCompile(`^\$5\$(?:rounds=([1-9]\d{3,8})\$)?[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{43}$`), 2_000_000, htpasswd.AcceptCryptSha},
	{regexp.MustCompile(`^\$6\$(?:rounds=([1-9]\d{3,8})\$)?[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{86}$`), 2_000_000, htpasswd.AcceptCryptSha},
	{regexp.MustCompile(`^\{SHA\}()`), 0, htpasswd.AcceptSha},
	{regexp.MustCompile(`^\{SSHA\}()`), 0, htpasswd.AcceptSsha},
}
