//go:build !linux

package owners

import (
	"errors"
	"fmt"
)

func find([]uint64) ([]Owner, error) {
	return nil, fmt.Errorf("the processes behind a socket are not known on this system: %w", errors.ErrUnsupported)
}
