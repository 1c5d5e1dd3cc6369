package bridge

import "github.com/sluice-proxy/sluice/bridge/internal/sendfile"

// Validate checks what can be checked without a look at the system. An error names the key
// it is about.
func (c Config) Validate() error {
	if err := c.normalize(); err != nil {
		return err
	}
	if _, err := c.instances(); err != nil {
		return err
	}
	if _, err := sendfile.New(c.Sendfile); err != nil {
		return err
	}
	return c.cgi().Validate()
}

// CheckDirectories returns an error that names the key if a directory of the files, such as
// Root, is not there. New takes that for something that will change, and a misspelt path
// may never.
func (c Config) CheckDirectories() error {
	if err := c.normalize(); err != nil {
		return err
	}
	return c.cgi().CheckDirectories()
}
