package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The demo's project: three web servers that are directories, and the runbooks that
// somebody on call would have for them.

var nodeNames = []string{"web1", "web2", "web3"}

const healthJob = `- name: health-check
  group: ops
  description: Looks at every web server and says what it sees.
  nodefilters:
    filter: 'tags: web'
    dispatch: {threadcount: 3, keepgoing: true}
  sequence:
    strategy: node-first
    commands:
    - description: Load and uptime
      exec: uptime
    - description: Disk
      exec: df -h ${node.home} | tail -1
    - description: Is the service up?
      script: |
        #!/bin/sh
        if [ "$(cat "$RD_NODE_HOME/service")" = up ]; then echo "service is up"; else echo "service is down" >&2; exit 1; fi
`

const rotateJob = `- name: rotate-logs
  group: ops
  description: Rotates the access log and keeps the newest generations.
  options:
  - name: keep
    description: How many generations to keep
    value: '3'
    values: ['1', '3', '7']
    enforced: true
  nodefilters:
    filter: 'tags: web'
    dispatch: {threadcount: 3}
  sequence:
    commands:
    - description: Rotate
      args: ${option.keep}
      script: |
        #!/bin/sh
        cd "$RD_NODE_HOME" || exit 1
        i=$1
        while [ "$i" -gt 1 ]; do
          [ -e "access.log.$((i-1))" ] && mv "access.log.$((i-1))" "access.log.$i"
          i=$((i-1))
        done
        mv access.log access.log.1 && : > access.log
        ls -l access.log*
`

// The restart notes each start and keeps its own copy of every line, so that the demo
// can compare what Fairlead stored with what the node itself printed.
const restartJob = `- name: rolling-restart
  group: ops
  description: Restarts one web server after the other, without a moment of all being down.
  options:
  - name: release
    description: What to deploy
    value: '2026.11'
    regex: '[0-9.]+'
    required: true
  nodefilters:
    filter: 'tags: web'
    dispatch: {threadcount: 3, rankAttribute: nodename}
  sequence:
    strategy: node-first
    commands:
    - description: Restart
      args: ${option.release}
      script: |
        #!/bin/sh
        cd "$RD_NODE_HOME" || exit 1
        echo "$$" >> starts
        say() { echo "$*"; echo "$*" >> copy; }
        say "draining connections"
        n=24; while [ $n -gt 0 ]; do say "  $n connections left"; n=$((n-1)); sleep 0.15; done
        echo down > service; say "stopped"
        for part in web worker cache; do say "starting $part $1"; sleep 0.4; done
        echo up > service
        n=1; while [ $n -le 20 ]; do say "  probe $n: 200 OK"; n=$((n+1)); sleep 0.15; done
        say "$RD_NODE_NAME serves release $1"
`

// writeNodes makes the nodes' directories and returns the node file.
func writeNodes(dir string, addrs []string, user string) (string, error) {
	var b strings.Builder
	for i, name := range nodeNames {
		home := filepath.Join(dir, "nodes", name)
		if err := os.MkdirAll(home, 0o700); err != nil {
			return "", fmt.Errorf("making %s: %w", home, err)
		}
		for file, text := range map[string]string{"service": "up\n", "access.log": strings.Repeat("127.0.0.1 GET / 200\n", 40)} {
			if err := os.WriteFile(filepath.Join(home, file), []byte(text), 0o600); err != nil {
				return "", fmt.Errorf("preparing %s: %w", name, err)
			}
		}
		fmt.Fprintf(&b, "%s:\n  nodename: %s\n  hostname: %q\n  username: %s\n  description: A web server of the demo\n  tags: [web, demo]\n  osFamily: unix\n  home: %s\n",
			name, name, addrs[i], user, home)
	}
	return b.String(), nil
}
