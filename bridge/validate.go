package bridge

import "github.com/sluice-proxy/sluice/bridge/internal/sendfile"

// Validate checks what can be checked without a look at the system: New may still find
// that a directory is not there. An error names the key it is about.
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
