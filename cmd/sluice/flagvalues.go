package main

import (
	"encoding/csv"
	"errors"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// registerSettings declares a flag for each setting of to. Usage texts refer to other settings by
// their flags.
func registerSettings(f *pflag.FlagSet, to config.Holder, written *config.Written) {
	for _, s := range to.Schema().Settings {
		if s.Flag == "" {
			continue
		}
		usage := s.Explain(flagOf)
		if s.IsList() || s.IsMap() {
			usage += "; may be given several times"
		}
		if s.Otherwise != "" {
			usage += " (default " + s.Preset(flagOf) + ")"
		}
		f.Var(settingFlag{s, s.Flag, to, written}, s.Flag, usage)
		f.Lookup(s.Flag).NoOptDefVal = s.Bare()
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

// booleans are what flags that need no value may be given as well.
var booleans = map[string]string{"true": "on", "false": "off"}

// settingFlag sets a setting to what a flag is given.
type settingFlag struct {
	setting *config.Setting
	name    string // of the flag
	to      config.Holder
	written *config.Written
}

func (f settingFlag) String() string { return f.setting.Default }
func (f settingFlag) Type() string   { return f.setting.Kind() }

func (f settingFlag) Set(text string) error {
	if err := f.written.Add(f.setting, "--"+f.name); err != nil {
		return err
	}
	if word, isBool := booleans[text]; isBool && f.setting.Bare() != "" {
		text = word
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

// durationFlag is a flag for a duration that must not be negative.
type durationFlag time.Duration

// positiveDuration is a durationFlag that must be more than 0.
type positiveDuration struct{ *durationFlag }

func (d positiveDuration) Set(text string) error {
	if err := d.durationFlag.Set(text); err != nil {
		return err
	}
	if *d.durationFlag == 0 {
		return errors.New("must be more than 0")
	}
	return nil
}

func (d *durationFlag) String() string { return time.Duration(*d).String() }
func (d *durationFlag) Type() string   { return "TIME" }

func (d *durationFlag) Set(text string) error {
	v, err := time.ParseDuration(text)
	if err != nil {
		return errors.New("not a duration (write 500ms, 3s, 2m)")
	}
	if v < 0 {
		return errors.New("must not be negative")
	}
	*d = durationFlag(v)
	return nil
}
