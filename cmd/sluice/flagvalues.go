package main

import (
	"encoding/csv"
	"errors"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/pflag"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// registerSettings registers a flag for each setting that has one, and hidden flags for former
// names.
func registerSettings(f *pflag.FlagSet, to *config.Config, written *config.Written) {
	for _, s := range config.Settings {
		if s.Flag == "" {
			continue
		}
		usage := s.Explain(flagOf)
		if s.IsList() || s.IsMap() {
			usage += "; may be given several times"
		}
		if s.Otherwise != "" {
			usage += " (default " + config.Refer(s.Otherwise, flagOf) + ")"
		}
		f.Var(settingFlag{s, s.Flag, to, written}, s.Flag, usage)
		if s.FormerFlag != "" {
			f.Var(settingFlag{s, s.FormerFlag, to, written}, s.FormerFlag, usage)
			f.Lookup(s.FormerFlag).Hidden = true
		}
	}
}

// flagOf returns the flag of a setting, or its key if it has none.
func flagOf(s *config.Setting) string {
	if s.Flag == "" {
		return s.Key
	}
	return "--" + s.Flag
}

// settingFlag is the pflag.Value of a setting.
type settingFlag struct {
	setting *config.Setting
	name    string // of the flag
	to      *config.Config
	written *config.Written
}

// String returns the default, which is what pflag asks for.
func (f settingFlag) String() string { return f.setting.Default }
func (f settingFlag) Type() string   { return f.setting.Kind() }

func (f settingFlag) Set(text string) error {
	if err := f.written.Add(f.setting, "--"+f.name); err != nil {
		return err
	}
	words := []string{text}
	switch {
	case f.setting.IsMap():
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return errors.New("want K=V")
		}
		words = []string{name, value}
	case f.setting.Commas && text != "":
		var err error
		if words, err = csv.NewReader(strings.NewReader(text)).Read(); err != nil {
			return err
		}
	}
	return f.setting.Set(f.to, words...)
}

// size is a flag in bytes.
type size int64

func (s *size) String() string { return strings.ReplaceAll(humanize.IBytes(uint64(*s)), " ", "") }
func (s *size) Type() string   { return "SIZE" }

func (s *size) Set(text string) error {
	n, err := humanize.ParseBytes(text)
	if err != nil || n > 1<<62 {
		return errors.New("not a size (write 500KiB, 20MiB, 1GiB)")
	}
	if n == 0 {
		return errors.New("must be more than 0")
	}
	*s = size(n)
	return nil
}

// duration is a flag that must not be negative; 0 has a meaning of its own.
type duration time.Duration

// someDuration is one that must be more than 0 as well.
type someDuration struct{ *duration }

func (d someDuration) Set(text string) error {
	if err := d.duration.Set(text); err != nil {
		return err
	}
	if *d.duration == 0 {
		return errors.New("must be more than 0")
	}
	return nil
}

func (d *duration) String() string { return time.Duration(*d).String() }
func (d *duration) Type() string   { return "TIME" }

func (d *duration) Set(text string) error {
	v, err := time.ParseDuration(text)
	if err != nil {
		return errors.New("not a duration (write 500ms, 3s, 2m)")
	}
	if v < 0 {
		return errors.New("must not be negative")
	}
	*d = duration(v)
	return nil
}
