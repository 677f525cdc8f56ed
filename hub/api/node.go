package api

import (
	"context"
	"net/http"
)

type listNodesInput struct {
	ProjectPath
	Page
	Filter  string `query:"filter" maxLength:"10000" doc:"A node filter; absent: all nodes"`
	Exclude string `query:"exclude" maxLength:"10000" doc:"A node filter of nodes to leave out"`
}

type importNodesInput struct {
	ProjectPath
	ContentType string `header:"Content-Type" hidden:"true"`
	RawBody     []byte `contentType:"application/yaml"`
}

// NodePath names a node in a path.
type NodePath struct {
	ProjectPath
	Node string `path:"node" maxLength:"1000"`
}

type forgetHostKeysInput struct {
	NodePath
	Fingerprint string `query:"fingerprint" maxLength:"200" doc:"Forget this one alone; absent: all"`
}

var nodeFormats = []string{"application/yaml", "application/json", "application/xml"}

func (s *server) nodeRoutes() {
	register(s, op{method: http.MethodGet, path: "/projects/{project}/nodes", id: "list-nodes", summary: "List nodes, all or those that match a filter", right: read}, s.listNodes)
	register(s, op{method: http.MethodPut, path: "/projects/{project}/nodes", id: "import-nodes", summary: "Replace all nodes by those of a file", right: admin, maxBody: maxImport, takes: nodeFormats}, s.importNodes)
	register(s, op{method: http.MethodGet, path: "/projects/{project}/nodes/{node}", id: "get-node", summary: "Show a node", right: read}, s.getNode)
	register(s, op{method: http.MethodGet, path: "/projects/{project}/nodes/{node}/hostkeys", id: "list-host-keys", summary: "List the SSH host keys seen of a node", right: read}, s.listHostKeys)
	register(s, op{method: http.MethodDelete, path: "/projects/{project}/nodes/{node}/hostkeys", id: "forget-host-keys", summary: "Forget host keys of a node, so that the next contact records them anew", right: admin}, s.forgetHostKeys)
}

func (s *server) listNodes(ctx context.Context, in *listNodesInput) (*body[NodeList], error) {
	panic("")
}
func (s *server) importNodes(ctx context.Context, in *importNodesInput) (*body[NodeImport], error) {
	panic("")
}
func (s *server) getNode(ctx context.Context, in *NodePath) (*body[Node], error) { panic("") }
func (s *server) listHostKeys(ctx context.Context, in *NodePath) (*body[HostKeyList], error) {
	panic("")
}
func (s *server) forgetHostKeys(ctx context.Context, in *forgetHostKeysInput) (*empty, error) {
	panic("")
}
