package rundeck_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/rundeck"
)

func TestNodeWarnings(t *testing.T) {
	t.Parallel()
	node := func(name string, attributes ...string) hub.Node {
		n := hub.Node{Name: name, Attributes: map[string]string{}}
		for i := 0; i < len(attributes); i += 2 {
			n.Attributes[attributes[i]] = attributes[i+1]
		}
		return n
	}
	const unsupported = "not supported yet: it has no effect"
	const local = "not supported yet with node-executor local: sudo gets no password there, so it needs a rule without one"
	const noTerminal = "has no effect without always-set-pty: true, since a second sudo is answered in a terminal only"
	for name, tt := range map[string]struct {
		nodes    []hub.Node
		settings map[string]string
		want     []hub.FieldError
	}{
		"all is heeded": {nodes: []hub.Node{node("a",
			"ssh-key-storage-path", "keys/${node.name}/k", "sudo-command-enabled", "true", "sudo-prompt-pattern", "x", "always-set-pty", "true", "sudo2-command-enabled", "true",
			"retry-enable", "false", "local-ssh-agent", "FALSE", "file-copier", "sshj-scp", "rack", "7")}},
		"of no effect": {
			nodes: []hub.Node{node("a", "retry-enable", "true", "retry-counter", "3", "ssh-config-Compression", "yes", "file-copier", "my-plugin", "local-ssh-agent", "true", "sudo-prompt-max-lines", "12")},
			want: []hub.FieldError{
				{Path: "a.file-copier", Message: unsupported},
				{Path: "a.local-ssh-agent", Message: unsupported},
				{Path: "a.retry-counter", Message: unsupported},
				{Path: "a.retry-enable", Message: unsupported},
				{Path: "a.ssh-config-Compression", Message: unsupported},
				{Path: "a.sudo-prompt-max-lines", Message: unsupported},
			},
		},
		"path of no key": {
			nodes: []hub.Node{node("a", "ssh-key-storage-path", "keys/a//b")},
			want:  []hub.FieldError{{Path: "a.ssh-key-storage-path", Message: `no key can be stored at this path: The key path "keys/a//b" has a part ""; parts are letters, digits, spaces and -_.@+.`}},
		},
		"on many nodes": {
			nodes: []hub.Node{node("a", "retry-counter", "1"), node("b", "retry-counter", "2"), node("c"), node("d", "retry-counter", "3")},
			want:  []hub.FieldError{{Path: "a.retry-counter", Message: unsupported + " (and at 2 more nodes)"}},
		},
		"local": {
			nodes: []hub.Node{node("a", "node-executor", "local", "sudo-command-enabled", "true")},
			want:  []hub.FieldError{{Path: "a.sudo-command-enabled", Message: local}},
		},
		"no terminal": {
			nodes:    []hub.Node{node("a", "sudo2-command-enabled", "true"), node("b", "sudo2-command-enabled", "true", "always-set-pty", "yes")},
			settings: map[string]string{"always-set-pty": "false"},
			want:     []hub.FieldError{{Path: "a.sudo2-command-enabled", Message: noTerminal}},
		},
		"the project has a terminal": {nodes: []hub.Node{node("a", "sudo2-command-enabled", "true")}, settings: map[string]string{"always-set-pty": "true"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, rundeck.NodeWarnings(tt.nodes, tt.settings)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
