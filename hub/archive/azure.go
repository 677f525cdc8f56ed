package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
)

// AzureOptions are how a container is spoken to; their meaning is in docs/archive.md.
type AzureOptions struct {
	Endpoint, CAFile     string
	AccountKey, SASToken string
}

// Azure is an archive in a container of Azure Blob Storage.
type Azure struct {
	client                     *container.Client
	account, container, prefix string
}

func openAzure(u *url.URL, o AzureOptions) (*Azure, error) {
	name, prefix, _ := strings.Cut(strings.TrimPrefix(path.Clean("/"+u.Path), "/"), "/")
	a := &Azure{account: u.Host, container: name, prefix: prefix}
	if a.account == "" || u.Port() != "" || a.container == "" {
		return nil, errors.New("names no account and container; it is azblob://account/container or azblob://account/container/prefix")
	}
	end, err := url.Parse(cmp.Or(o.Endpoint, "https://"+a.account+".blob.core.windows.net"))
	if err != nil || end.Host == "" || end.Scheme != "https" && end.Scheme != "http" {
		return nil, fmt.Errorf("cannot be used: azure.endpoint %q is not an address like https://account.blob.core.windows.net", o.Endpoint)
	}
	if o.AccountKey != "" && o.SASToken != "" {
		return nil, errors.New("cannot be used: give one of azure.accountKey and azure.sasToken, or neither for the identity of the machine or pod")
	}
	transport, err := secureTransport("azure.caFile", o.CAFile)
	if err != nil {
		return nil, err
	}
	options := &container.ClientOptions{ClientOptions: azcore.ClientOptions{
		Transport: &http.Client{Transport: transport},
		Retry:     policy.RetryOptions{MaxRetries: requestTries - 1},
		Telemetry: policy.TelemetryOptions{Disabled: true},
	}}
	if a.client, err = containerClient(end.JoinPath(a.container).String(), a.account, o, options); err != nil {
		return nil, err
	}
	return a, nil
}

// containerClient speaks to the container at an address with the credentials that were
// given, else with those that the machine or pod has.
func containerClient(at, account string, o AzureOptions, options *container.ClientOptions) (*container.Client, error) {
	// What the library says of a key or a signature might quote it.
	malformed := errors.New("cannot be used: azure.accountKey or azure.sasToken is malformed")
	switch {
	case o.SASToken != "":
		client, err := container.NewClientWithNoCredential(at+"?"+strings.TrimPrefix(o.SASToken, "?"), options)
		if err != nil {
			return nil, malformed
		}
		return client, nil
	case o.AccountKey != "":
		key, err := container.NewSharedKeyCredential(account, o.AccountKey)
		if err != nil {
			return nil, malformed
		}
		return container.NewClientWithSharedKeyCredential(at, key, options)
	}
	identity, err := newAzureIdentity()
	if err != nil {
		return nil, fmt.Errorf("cannot be used: %w", err)
	}
	return container.NewClient(at, identity, options)
}

// Name implements Archive.
func (a *Azure) Name() string {
	return (&url.URL{Scheme: "azblob", Host: a.account, Path: path.Join("/", a.container, a.prefix)}).String()
}

func (a *Azure) blob(key string) *blockblob.Client {
	return a.client.NewBlockBlobClient(path.Join(a.prefix, key))
}

// Put implements Archive. The blob appears when its last block is committed.
func (a *Azure) Put(ctx context.Context, key string, size int64, body io.Reader) error {
	_, err := a.blob(key).UploadStream(ctx, io.LimitReader(body, size), &blockblob.UploadStreamOptions{BlockSize: partBytes, Concurrency: 1})
	return a.told("storing", key, err)
}

// Get implements Archive.
func (a *Azure) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	answer, err := a.blob(key).DownloadStream(ctx, &blob.DownloadStreamOptions{Range: blob.HTTPRange{Offset: offset, Count: length}})
	if err != nil {
		return nil, a.told("reading", key, err)
	}
	return answer.Body, nil
}

// Delete implements Archive.
func (a *Azure) Delete(ctx context.Context, key string) error {
	_, err := a.blob(key).Delete(ctx, nil)
	if bloberror.HasCode(err, bloberror.BlobNotFound) {
		return nil
	}
	return a.told("deleting", key, err)
}

// told names what was asked of whom; the library's own words are a page long.
func (a *Azure) told(what, key string, err error) error {
	if err == nil {
		return nil
	}
	if refused, ok := errors.AsType[*azcore.ResponseError](err); ok {
		err = fmt.Errorf("%d %s", refused.StatusCode, refused.ErrorCode)
		if refused.ErrorCode == string(bloberror.BlobNotFound) {
			err = ErrNotFound
		}
	}
	return fmt.Errorf("%s azblob://%s/%s/%s: %w", what, a.account, a.container, path.Join(a.prefix, key), err)
}
