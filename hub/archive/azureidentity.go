package archive

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// azureIdentity gets tokens for whom the environment names: a service principal, the
// identity of a pod, or else the machine's own.
type azureIdentity struct {
	sources *azidentity.ChainedTokenCredential
}

func newAzureIdentity() (azureIdentity, error) {
	var sources []azcore.TokenCredential
	// Each of the first two is there if the variables for it are.
	if c, err := azidentity.NewEnvironmentCredential(nil); err == nil {
		sources = append(sources, c)
	}
	if c, err := azidentity.NewWorkloadIdentityCredential(nil); err == nil {
		sources = append(sources, c)
	}
	var o azidentity.ManagedIdentityCredentialOptions
	// Which of several identities of a machine is meant; the library reads it for the others.
	if id := os.Getenv("AZURE_CLIENT_ID"); id != "" { //nolint:forbidigo // a variable of Azure, as those above
		o.ID = azidentity.ClientID(id)
	}
	machine, err := azidentity.NewManagedIdentityCredential(&o)
	if err != nil {
		return azureIdentity{}, fmt.Errorf("looking for the machine's identity: %w", err)
	}
	chain, err := azidentity.NewChainedTokenCredential(append(sources, machine), nil)
	return azureIdentity{sources: chain}, err
}

// GetToken implements azcore.TokenCredential.
func (i azureIdentity) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := i.sources.GetToken(ctx, o)
	if err != nil {
		return token, noTokenError{err}
	}
	return token, nil
}

// noTokenError says in one line what the library says in a page.
type noTokenError struct{ cause error }

func (e noTokenError) Error() string {
	var said []string
	for line := range strings.Lines(e.cause.Error()) {
		line = strings.TrimSpace(line)
		if strings.Trim(line, "-") != "" && !strings.HasPrefix(line, "To troubleshoot") {
			said = append(said, strings.TrimRight(line, ".:"))
		}
	}
	return "no token of the machine's identity: " + strings.Join(said, ": ")
}

func (e noTokenError) Unwrap() error { return e.cause }

// NonRetriable keeps the client from asking at once again: what an identity may do does
// not change in seconds, and who packs tries again later.
func (noTokenError) NonRetriable() {}
