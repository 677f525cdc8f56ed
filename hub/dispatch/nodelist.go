package dispatch

import (
	"context"
	"sync"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

// nodeListsKept bounds the projects whose nodes are remembered.
const nodeListsKept = 64

// nodeLists remembers the nodes of projects by the revision of their nodes: reading
// some thousand for every start would cost more than all else of it.
type nodeLists struct {
	mu   sync.Mutex
	list map[string]nodeList // by id of the project
}

type nodeList struct {
	revision  int64
	updatedAt time.Time // of the project: one that was brought back counts revisions anew
	nodes     []hub.Node
}

// nodes returns the nodes of a project that was read just now; they are not the caller's
// to change.
func (i *nodeLists) nodes(ctx context.Context, st *store.Store, project *hub.Project) ([]hub.Node, error) {
	i.mu.Lock()
	known, ok := i.list[project.ID]
	i.mu.Unlock()
	if ok && known.revision == project.NodesRevision && known.updatedAt.Equal(project.UpdatedAt) {
		return known.nodes, nil
	}
	nodes, err := st.Nodes(ctx, project.ID)
	if err != nil {
		return nil, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.list == nil {
		i.list = make(map[string]nodeList)
	}
	// Changed since the project was read, they are newer than the revision that they are
	// kept under; nobody who reads the project after the change asks for that one.
	put(i.list, nodeListsKept, project.ID, nodeList{project.NodesRevision, project.UpdatedAt, nodes})
	return nodes, nil
}
