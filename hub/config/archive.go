package config

import (
	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/archive"
)

// Archive is where the logs of ended executions go; docs/archive.md.
type Archive struct {
	URL   string `key:"url" help:"where the logs of ended executions are kept: file:///srv/logs, s3://bucket/prefix or azblob://account/container/prefix; empty: in the database"`
	Path  string `key:"path" help:"where a log lies in the archive; it must hold {attempt}"`
	S3    S3     `key:"s3"`
	Azure Azure  `key:"azure"`
	// Other is read from alone.
	Other OtherArchive `key:"other"`
}

// OtherArchive is where logs lie before or behind a move.
type OtherArchive struct {
	URL   string `key:"url" help:"a second archive, which is read from alone: where logs lie before or behind a move"`
	S3    S3     `key:"s3"`
	Azure Azure  `key:"azure"`
}

// S3 is how a bucket is spoken to.
type S3 struct {
	Endpoint   string `key:"endpoint" help:"address of the server, such as https://minio.example:9000; empty: AWS"`
	Region     string `key:"region" help:"of the bucket; empty: it is asked for"`
	PathStyle  bool   `key:"pathStyle" help:"the bucket in the path instead of in the host name"`
	CAFile     string `key:"caFile" help:"PEM file of the CA that signed the server's certificate; empty: the system's"`
	Encryption string `key:"encryption" help:"at rest: sse-s3 or sse-kms; empty: what the bucket does by itself"`
	KMSKey     string `key:"kmsKey" help:"id of the key for sse-kms; empty: the bucket's"`
	AccessKey  string `key:"accessKey" help:"id of the access key; empty: AWS's variables, file or the role of this machine"`
	SecretKey  string `key:"secretKey" help:"its secret" secret:"true"`
}

// Azure is how a container is spoken to.
type Azure struct {
	Endpoint   string `key:"endpoint" help:"address of the account; empty: https://ACCOUNT.blob.core.windows.net"`
	CAFile     string `key:"caFile" help:"PEM file of the CA that signed the server's certificate; empty: the system's"`
	AccountKey string `key:"accountKey" help:"key of the storage account; or a SAS token; or neither: the identity of this machine or pod" secret:"true"`
	SASToken   string `key:"sasToken" help:"shared access signature for the container; or the account's key" secret:"true"`
}

// Open makes the archives, which are asked nothing yet, and the path of objects in them; or
// tells what is wrong.
func (a *Archive) Open() (archives *archive.Archives, path *archive.Path, wrong []hub.FieldError) {
	open := func(key, url string, s3 S3, azure Azure) archive.Archive {
		if url == "" {
			if s3 != (S3{}) || azure != (Azure{}) {
				wrong = append(wrong, hub.FieldError{Path: key + ".url", Message: "is empty, though s3 or azure is configured beside it"})
			}
			return nil
		}
		one, err := archive.Open(archive.Options{URL: url, S3: archive.S3Options(s3), Azure: archive.AzureOptions(azure)})
		if err != nil {
			wrong = append(wrong, hub.FieldError{Path: key + ".url", Message: err.Error()})
			return nil
		}
		return one
	}
	archives = &archive.Archives{Current: open("archive", a.URL, a.S3, a.Azure), Other: open("archive.other", a.Other.URL, a.Other.S3, a.Other.Azure)}
	if archives.Current != nil && archives.Other != nil && archives.Current.Name() == archives.Other.Name() {
		wrong = append(wrong, hub.FieldError{Path: "archive.other.url", Message: "is archive.url once more; two archives with one address cannot be told apart, so give one another prefix"})
	}
	path, err := archive.ParsePath(a.Path)
	if err != nil {
		wrong = append(wrong, hub.FieldError{Path: "archive.path", Message: err.Error()})
	}
	return archives, path, wrong
}
