package api

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/nodefilter"
	"github.com/fairlead/fairlead/hub/rundeck"
	"github.com/fairlead/fairlead/hub/store"
)

type listNodesInput struct {
	ProjectPath
	Page
	Filter  string `query:"filter" maxLength:"10000" doc:"A node filter; absent: all nodes"`
	Exclude string `query:"exclude" maxLength:"10000" doc:"A node filter of nodes to leave out"`
}

type importNodesInput struct {
	ProjectPath
	IfMatchHeader
	IdempotencyHeader
	ContentType string `header:"Content-Type" hidden:"true"`
	RawBody     []byte `contentType:"application/yaml"`
}

// NodePath names a node in a path.
type NodePath struct {
	ProjectPath
	Node string `path:"node" maxLength:"1000"`
}

type acceptHostKeyInput struct {
	NodePath
	Body AcceptHostKey
}

var nodeFormats = []string{"application/yaml", "application/json", "application/xml"}

func (s *server) nodeRoutes() {
	register(s, op{method: http.MethodGet, path: "/projects/{project}/nodes", id: "list-nodes", summary: "List nodes, all or those that match a filter", right: read}, s.listNodes)
	register(s, op{method: http.MethodPut, path: "/projects/{project}/nodes", id: "import-nodes", summary: "Replace all nodes by those of a file", right: admin, maxBody: maxImport, takes: nodeFormats}, s.importNodes)
	register(s, op{method: http.MethodGet, path: "/projects/{project}/nodes/{node}", id: "get-node", summary: "Show a node", right: read}, s.getNode)
	register(s, op{method: http.MethodGet, path: "/projects/{project}/nodes/{node}/hostkeys", id: "list-host-keys", summary: "List the SSH host keys seen of a node", right: read}, s.listHostKeys)
	register(s, op{method: http.MethodPost, path: "/projects/{project}/nodes/{node}/hostkeys", id: "accept-host-key", summary: "Choose the one SSH host key of a node", right: admin}, s.acceptHostKey)
	register(s, op{method: http.MethodDelete, path: "/projects/{project}/nodes/{node}/hostkeys", id: "forget-host-keys", summary: "Forget the SSH host keys of a node, so that the next contact records them anew", right: admin}, s.forgetHostKeys)
}

func (s *server) listNodes(ctx context.Context, in *listNodesInput) (*tagged[NodeList], error) {
	p, err := s.project(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	if err := checkFilters(filterAt{"query.filter", in.Filter}, filterAt{"query.exclude", in.Exclude}); err != nil {
		return nil, err
	}
	nodes, err := s.Store.Nodes(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	if in.Filter != "" || in.Exclude != "" {
		d := hub.Dispatch{Nodes: true, Filter: in.Filter, FilterExclude: in.Exclude, ExcludePrecedence: true}
		if nodes, err = nodefilter.Select(d, "", nodes); err != nil {
			return nil, err
		}
	}
	items, next, err := slicePage(nodes, in.Page)
	if err != nil {
		return nil, err
	}
	// The revision was read before the nodes: it may be older than they, never newer.
	list := NodeList{Items: mapped(items, toNode), Next: next, Total: len(nodes), Revision: p.NodesRevision}
	return &tagged[NodeList]{ETag: etag(p.NodesRevision), Body: list}, nil
}

// filterAt is a node filter and where in the input it stands.
type filterAt struct{ path, filter string }

// checkFilters tells all filters that cannot be read.
func checkFilters(filters ...filterAt) error {
	var wrong []hub.FieldError
	for _, f := range filters {
		if _, err := nodefilter.Parse(f.filter); err != nil {
			wrong = append(wrong, hub.FieldError{Path: f.path, Message: hub.ErrorMessage(err)})
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return hub.Invalid("A node filter cannot be read: "+wrong[0].Message, wrong)
}

// slicePage cuts a page out of a list that is read whole; its cursor is a position.
func slicePage[T any](all []T, p Page) ([]T, string, error) {
	first := 0
	if p.Cursor != "" {
		n, err := strconv.Atoi(p.Cursor)
		if err != nil || n < 0 {
			return nil, "", store.BadCursor(err)
		}
		first = min(n, len(all))
	}
	last := min(first+p.Limit, len(all))
	if last == len(all) {
		return all[first:], "", nil
	}
	return all[first:last], strconv.Itoa(last), nil
}

func (s *server) importNodes(ctx context.Context, in *importNodesInput) (*tagged[NodeImport], error) {
	p, err := s.project(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	format, err := nodeFormat(in.ContentType)
	if err != nil {
		return nil, err
	}
	nodes, err := rundeck.ParseNodes(in.RawBody, format)
	if err != nil {
		return nil, err
	}
	r, err := s.newRequest(ctx, in.IdempotencyKey, "import-nodes "+p.ID, struct {
		Format rundeck.NodeFormat
		File   []byte
	}{format, in.RawBody})
	if err != nil {
		return nil, err
	}
	out, err := onceJSON(ctx, s, r, func(st *store.Store) (*NodeImport, error) {
		return s.replaceNodes(ctx, st, p, in.IfMatchHeader, nodes)
	})
	if err != nil {
		return nil, err
	}
	return &tagged[NodeImport]{ETag: etag(out.Revision), Body: *out}, nil
}

// replaceNodes makes nodes the inventory of a project, if that is still what match says.
func (s *server) replaceNodes(ctx context.Context, st *store.Store, p *hub.Project, match IfMatchHeader, nodes []hub.Node) (*NodeImport, error) {
	before, err := st.Nodes(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	out := NodeImport{Nodes: len(nodes), Warnings: mapped(rundeck.NodeWarnings(nodes, p.Settings), toFieldProblem)}
	out.Added, out.Removed = difference(before, nodes)
	if out.Revision, err = st.ReplaceNodes(ctx, p.ID, nodes); err != nil {
		return nil, err
	}
	// The project's row is locked now, so that nobody comes between check and change.
	if err := match.check(out.Revision-1, "inventory of project", p.Name); err != nil {
		return nil, err
	}
	return &out, s.audit(ctx, st, "node.import", p.Name)
}

// nodeFormat reads a media type.
func nodeFormat(contentType string) (rundeck.NodeFormat, error) {
	media, _, err := mime.ParseMediaType(contentType)
	if err == nil {
		switch {
		case strings.HasSuffix(media, "yaml"):
			return rundeck.NodesYAML, nil
		case strings.HasSuffix(media, "json"):
			return rundeck.NodesJSON, nil
		case strings.HasSuffix(media, "xml"):
			return rundeck.NodesXML, nil
		}
	}
	return "", newProblem(http.StatusUnsupportedMediaType, "The header Content-Type must say what the node file is: "+strings.Join(nodeFormats, ", ")+".")
}

// difference counts names that are in one list alone.
func difference(before, after []hub.Node) (added, removed int) {
	names := make(map[string]bool, len(before))
	for _, n := range before {
		names[n.Name] = true
	}
	for _, n := range after {
		if !names[n.Name] {
			added++
		}
		delete(names, n.Name)
	}
	return added, len(names)
}

func (s *server) getNode(ctx context.Context, in *NodePath) (*body[Node], error) {
	_, n, err := s.node(ctx, in)
	if err != nil {
		return nil, err
	}
	return &body[Node]{toNode(*n)}, nil
}

// node finds the node of a path.
func (s *server) node(ctx context.Context, in *NodePath) (*hub.Project, *hub.Node, error) {
	p, err := s.project(ctx, in.Project)
	if err != nil {
		return nil, nil, err
	}
	n, err := s.Store.Node(ctx, p.ID, in.Node)
	return p, n, err
}

func (s *server) listHostKeys(ctx context.Context, in *NodePath) (*body[HostKeyList], error) {
	p, err := s.project(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	keys, err := s.Store.HostKeys(ctx, p.ID, in.Node)
	if err != nil {
		return nil, err
	}
	return &body[HostKeyList]{HostKeyList{Items: mapped(keys, toHostKey)}}, nil
}

func toHostKey(k hub.HostKey) HostKey {
	typ, blob, _ := strings.Cut(k.Key, " ")
	blob, _, _ = strings.Cut(blob, " ")
	out := HostKey{Key: k.Key, Type: typ, State: string(k.State), RunnerID: k.RunnerID, SeenAt: Time(k.SeenAt)}
	if raw, err := base64.StdEncoding.DecodeString(blob); err == nil {
		sum := sha256.Sum256(raw)
		out.Fingerprint = "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
	}
	return out
}

func (s *server) acceptHostKey(ctx context.Context, in *acceptHostKeyInput) (*body[HostKeyList], error) {
	p, n, err := s.node(ctx, &in.NodePath)
	if err != nil {
		return nil, err
	}
	known, err := s.Store.HostKeys(ctx, p.ID, n.Name)
	if err != nil {
		return nil, err
	}
	for _, k := range known {
		if k.Key != in.Body.Key {
			continue
		}
		err := s.Store.InTx(ctx, func(st *store.Store) error {
			if err := st.AcceptHostKey(ctx, p.ID, n.Name, k.Key); err != nil {
				return err
			}
			return s.audit(ctx, st, "hostkey.accept", p.Name+"/"+n.Name)
		})
		if err != nil {
			return nil, err
		}
		return s.listHostKeys(ctx, &in.NodePath)
	}
	return nil, hub.Errorf(hub.CodeNotFound, "No runner has seen this key at node %q; take one of those that are listed.", n.Name)
}

func (s *server) forgetHostKeys(ctx context.Context, in *NodePath) (*empty, error) {
	p, err := s.project(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	return &empty{}, s.Store.InTx(ctx, func(st *store.Store) error {
		if _, err := st.ForgetHostKeys(ctx, p.ID, in.Node); err != nil {
			return err
		}
		return s.audit(ctx, st, "hostkey.forget", p.Name+"/"+in.Node)
	})
}

// jsonText is v for an audit line or a stored answer. Only plain data is given to it.
func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}
