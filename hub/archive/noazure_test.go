//go:build !azurite

package archive_test

import (
	"testing"

	"github.com/fairlead/fairlead/hub/archive"
)

// azure is in azure_test.go.
func azure(*testing.T, func(*testing.T, archive.Archive)) {}
