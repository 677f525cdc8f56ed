package hub

import "time"

// Project is a set of jobs, nodes and keys inside an organisation.
type Project struct {
	ID             string
	OrganisationID string
	// Name is unique in the organisation and what people type.
	Name        string
	Description string
	// Settings are defaults that nodes override, e.g. "ssh-key-storage-path",
	// "ssh-connection-timeout"; the names are Rundeck's node attributes.
	Settings map[string]string
	// Routes map nodes to runners; the first whose filter matches decides. None: any
	// runner of the project.
	Routes []Route
	// Revision rises with each change; the ETag.
	Revision int64
	// NodesRevision rises with each import of nodes.
	NodesRevision int64
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// Route sends the nodes that match Filter to a runner that bears all Tags.
type Route struct {
	// Filter is a node filter; empty matches all.
	Filter string
	Tags   []string
}
