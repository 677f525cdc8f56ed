package api

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
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

func (s *server) listNodes(ctx context.Context, in *listNodesInput) (*body[NodeList], error) {
	p, err := s.project(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	nodes, err := s.Store.Nodes(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	if in.Filter != "" || in.Exclude != "" {
		d := hub.Dispatch{Nodes: true, Filter: in.Filter, FilterExclude: in.Exclude, ExcludePrecedence: true}
		if nodes, err = nodefilter.Select(d, "", nodes); err != nil {
			return nil, atPath(err, "query.filter")
		}
	}
	items, next, err := slicePage(nodes, in.Page)
	if err != nil {
		return nil, err
	}
	return &body[NodeList]{NodeList{Items: mapped(items, toNode), Next: next, Total: len(nodes), Revision: p.NodesRevision}}, nil
}

// atPath says which input an error of bad input is about.
func atPath(err error, path string) error {
	var e *hub.Error
	if !errors.As(err, &e) || e.Code != hub.CodeInvalid || len(e.Fields) > 0 {
		return err
	}
	with := *e
	with.Fields = []hub.FieldError{{Path: path, Message: e.Message}}
	return &with
}

// slicePage cuts a page out of a list that is read whole; its cursor is a position.
func slicePage[T any](all []T, p Page) ([]T, string, error) {
	first := 0
	if p.Cursor != "" {
		n, err := strconv.Atoi(p.Cursor)
		if err != nil || n < 0 {
			return nil, "", hub.Errorf(hub.CodeInvalid, "The cursor is not one that this list gave; begin again without one.")
		}
		first = min(n, len(all))
	}
	last := min(first+p.Limit, len(all))
	if last == len(all) {
		return all[first:], "", nil
	}
	return all[first:last], strconv.Itoa(last), nil
}

func (s *server) importNodes(ctx context.Context, in *importNodesInput) (*body[NodeImport], error) {
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
	out := NodeImport{Nodes: len(nodes), Warnings: mapped(rundeck.NodeWarnings(nodes, p.Settings), toFieldProblem)}
	err = s.Store.InTx(ctx, func(st *store.Store) error {
		before, err := st.Nodes(ctx, p.ID)
		if err != nil {
			return err
		}
		out.Added, out.Removed = difference(before, nodes)
		if _, err = st.ReplaceNodes(ctx, p.ID, nodes); err != nil {
			return err
		}
		return s.audit(ctx, st, "node.import", p.Name)
	})
	if err != nil {
		return nil, err
	}
	return &body[NodeImport]{out}, nil
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
