package main

import (
	"context"
	"fmt"
	"os"
	"os/user"

	"golang.org/x/crypto/ssh"

	"github.com/fairlead/fairlead/e2e/lab"
	"github.com/fairlead/fairlead/e2e/sshserver"
)

type nodeServers struct {
	addrs         []string
	user, keyFile string
}

// startNodes starts OpenSSH's server as the present user, or where there is none a
// small one of our own.
func (d *demo) startNodes(ctx context.Context) (nodeServers, error) {
	if lab.FindSSHD() != "" {
		s, err := lab.StartSSHD(ctx, d.dir, len(nodeNames))
		if err == nil {
			d.stops = append(d.stops, s.Stop)
			for _, pid := range s.PIDs() {
				if err := note(d.dir, pid); err != nil {
					return nodeServers{}, err
				}
			}
			d.say("  nodes    web1, web2, web3 behind OpenSSH's sshd, as %s", s.User)
			return nodeServers{s.Addrs, s.User, s.KeyFile}, nil
		}
		d.say("  nodes    OpenSSH's sshd does not start as this user (%v)", err)
	}
	return d.startOwnServer()
}

func (d *demo) startOwnServer() (nodeServers, error) {
	hostKey, keyFile, authorized, err := lab.WriteKeys(d.dir + "/ssh")
	if err != nil {
		return nodeServers{}, err
	}
	pem, err := os.ReadFile(hostKey)
	if err != nil {
		return nodeServers{}, fmt.Errorf("reading the nodes' host key: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(pem)
	if err != nil {
		return nodeServers{}, fmt.Errorf("parsing the nodes' host key: %w", err)
	}
	me, err := user.Current()
	if err != nil {
		return nodeServers{}, fmt.Errorf("finding the present user: %w", err)
	}
	server := sshserver.New(signer, authorized)
	nodes := nodeServers{user: me.Username, keyFile: keyFile}
	for range nodeNames {
		addr, err := lab.FreeAddr()
		if err != nil {
			return nodeServers{}, err
		}
		if err := server.Listen(addr); err != nil {
			return nodeServers{}, err
		}
		nodes.addrs = append(nodes.addrs, addr)
	}
	d.stops = append(d.stops, server.Close)
	d.say("  nodes    web1, web2, web3 behind a small SSH server of our own (no sshd here), as %s", me.Username)
	return nodes, nil
}
