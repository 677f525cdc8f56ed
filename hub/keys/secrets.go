package keys

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/fairlead/fairlead/hub"
)

// pathSuffix ends the names of all settings of a node or project that name a key:
// ssh-key-storage-path, sudo-password-storage-path, ssh-proxy-jump-key-storage-path.
const pathSuffix = "-storage-path"

// Secrets gathers what an attempt needs: the keys that its nodes and its project name,
// and the values of its secure options, given ones before stored ones. What is missing
// or not the project's to use is left out, so that the node step can say what it
// lacks, and so is what does not open: waiting would not mend it. An option that must have
// a value is told as lacking; one that need not is empty where no key is. The error then
// has code not_found, invalid or forbidden and comes beside the rest. Any other error comes
// alone. The project is that of the execution; nil: it is read.
func (k *Keys) Secrets(ctx context.Context, project *hub.Project, e *hub.Execution, a *hub.Assignment) (*hub.Secrets, error) {
	if project == nil {
		var err error
		if project, err = k.st.Project(ctx, e.OrganisationID, e.ProjectID); err != nil {
			return nil, err
		}
	}
	g := &gathering{keys: k, ctx: ctx, project: project, organisationID: e.OrganisationID, out: &hub.Secrets{}}
	nodes, err := k.nodes(ctx, e, a)
	if err != nil {
		return nil, err
	}
	for _, path := range namedPaths(nodes, project) {
		if err := g.key(path); err != nil {
			return nil, err
		}
	}
	if err := g.options(e); err != nil {
		return nil, err
	}
	return g.out, errors.Join(g.lacking...)
}

// nodes are those of an assignment. What a recovered execution says of its nodes is what a
// runner told, which could name keys there that it was never to have: of these counts what
// the project's inventory says of nodes with their names, and no other gets any key.
func (k *Keys) nodes(ctx context.Context, e *hub.Execution, a *hub.Assignment) ([]*hub.Node, error) {
	out := make([]*hub.Node, 0, len(a.Nodes))
	if !e.Recovered {
		for _, position := range a.Nodes {
			out = append(out, &e.Nodes[position])
		}
		return out, nil
	}
	list, err := k.st.Nodes(ctx, e.ProjectID)
	if err != nil {
		return nil, err
	}
	for _, position := range a.Nodes {
		name := e.Nodes[position].Name
		if i := slices.IndexFunc(list, func(n hub.Node) bool { return n.Name == name }); i >= 0 {
			out = append(out, &list[i])
		}
	}
	return out, nil
}

// namedPaths lists the keys that nodes name, each once.
func namedPaths(nodes []*hub.Node, project *hub.Project) []string {
	seen := map[string]bool{}
	for _, node := range nodes {
		for _, path := range NodePaths(node, project) {
			seen[path] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// NodePaths returns the key paths that count for a node, by the name of the setting
// that names them: the node's own before its project's. ${node.name},
// ${node.username}, ${node.hostname} and ${job.project} in them are replaced, and the
// runner must be told them as they are here.
func NodePaths(node *hub.Node, project *hub.Project) map[string]string {
	replace := strings.NewReplacer(
		"${node.name}", node.Name, "${node.username}", node.Username,
		"${node.hostname}", node.Hostname, "${job.project}", project.Name,
	)
	out := map[string]string{}
	for _, settings := range []map[string]string{project.Settings, node.Attributes} {
		for name, path := range settings {
			if strings.HasSuffix(name, pathSuffix) && path != "" {
				out[name] = replace.Replace(path)
			}
		}
	}
	return out
}

// gathering is one call of Secrets.
type gathering struct {
	keys           *Keys
	ctx            context.Context
	organisationID string
	project        *hub.Project
	out            *hub.Secrets
	lacking        []error
}

// key adds the value at path.
func (g *gathering) key(path string) error {
	value, lack, err := g.value(path)
	if err != nil || lack != nil {
		return err
	}
	if g.out.Keys == nil {
		g.out.Keys = map[string][]byte{}
	}
	g.out.Keys[path] = value
	return nil
}

// value returns the value at path, or why it cannot be had, which is noted.
func (g *gathering) value(path string) (value []byte, lack, err error) {
	if allowed(path, g.project.Name) {
		_, value, err = g.keys.Get(g.ctx, g.organisationID, path)
	} else {
		err = hub.Errorf(hub.CodeForbidden, "The key %s belongs to another project than %s.", path, g.project.Name)
	}
	switch hub.ErrorCode(err) {
	case "":
		return value, nil, nil
	case hub.CodeNotFound, hub.CodeInvalid, hub.CodeForbidden:
		g.lacking = append(g.lacking, err)
		return nil, err, nil
	default:
		return nil, nil, err
	}
}

// options adds the values of secure options: those given to this run, else those at
// the option's storage path.
func (g *gathering) options(e *hub.Execution) error {
	given, err := g.given(e)
	if err != nil {
		return err
	}
	values, size := map[string]string{}, 0
	for i := range e.Definition.Options {
		option := &e.Definition.Options[i]
		if value, ok := given[option.Name]; ok && option.Secure {
			values[option.Name] = value
			size += len(value)
			continue
		}
		// A given one that did not open is not replaced by the stored one.
		if !option.Secure || option.StoragePath == "" || slices.Contains(e.SecureOptions, option.Name) {
			continue
		}
		value, lack, err := g.value(option.StoragePath)
		switch {
		case err != nil:
			return err
		case lack == nil && !utf8.Valid(value): // a grant with it could not be encoded, and would be asked for again and again
			g.out.Lacking = append(g.out.Lacking, fmt.Sprintf("The option %s has no value: the key %s is not UTF-8. Store it as text.", option.Name, option.StoragePath))
		case lack == nil:
			values[option.Name] = string(value)
			size += len(value)
		case option.Required || hub.ErrorCode(lack) != hub.CodeNotFound:
			g.out.Lacking = append(g.out.Lacking, fmt.Sprintf("The option %s has no value: %s", option.Name, hub.ErrorMessage(lack)))
		}
	}
	switch {
	case size > hub.MaxSecureOptionBytes: // no frame takes them, so the grant would be asked for again and again
		g.out.Lacking = append(g.out.Lacking, fmt.Sprintf("The secure options have no values: they have %d bytes together, at most %d are taken.", size, hub.MaxSecureOptionBytes))
	case len(values) > 0:
		g.out.Options = values
	}
	return nil
}

// given are the values of secure options that were given to this run.
func (g *gathering) given(e *hub.Execution) (map[string]string, error) {
	if len(e.SecureOptions) == 0 { // there are none, and a query less in each grant
		return nil, nil
	}
	sealed, err := g.keys.st.SealedOptions(g.ctx, e.ID)
	if err != nil {
		return nil, err
	}
	given, err := g.keys.OpenOptions(g.ctx, e.OrganisationID, e.ID, sealed)
	if hub.ErrorCode(err) == hub.CodeInvalid {
		g.lacking = append(g.lacking, err)
		g.out.Lacking = append(g.out.Lacking, fmt.Sprintf("The options %s have no value: what was given does not open. Run the job again.", strings.Join(e.SecureOptions, ", ")))
		return nil, nil
	}
	return given, err
}
