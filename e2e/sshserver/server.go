// Package sshserver is a small SSH server that runs real processes as the present
// user, for machines without OpenSSH's. It serves the demo and nothing else: keys
// only, loopback only, exec requests and SFTP-less scripts.
package sshserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// Server serves exec requests on its listeners.
type Server struct {
	config *ssh.ServerConfig
	wg     sync.WaitGroup

	mu        sync.Mutex // guards the following fields
	listeners []net.Listener
	conns     map[net.Conn]bool
}

// New makes a server with the given host key that lets in one public key.
func New(hostKey ssh.Signer, authorized ssh.PublicKey) *Server {
	s := &Server{conns: map[net.Conn]bool{}}
	s.config = &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if !bytes.Equal(key.Marshal(), authorized.Marshal()) {
			return nil, errors.New("this key may not sign in")
		}
		return &ssh.Permissions{}, nil
	}}
	s.config.AddHostKey(hostKey)
	return s
}

// Listen serves connections on addr until Close.
func (s *Server) Listen(addr string) error {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return fmt.Errorf("listening for SSH: %w", err)
	}
	s.mu.Lock()
	s.listeners = append(s.listeners, l)
	s.mu.Unlock()
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[c] = true
			s.mu.Unlock()
			s.wg.Go(func() { s.serve(c) })
		}
	})
	return nil
}

// Close ends the server and every connection; processes lose their terminals' end of
// the pipe, as with any SSH server.
func (s *Server) Close() {
	s.mu.Lock()
	for _, l := range s.listeners {
		_ = l.Close()
	}
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *Server) serve(c net.Conn) {
	defer func() {
		_ = c.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	_, channels, requests, err := ssh.NewServerConn(c, s.config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for offered := range channels {
		if offered.ChannelType() != "session" {
			_ = offered.Reject(ssh.UnknownChannelType, "only sessions are served")
			continue
		}
		channel, requests, err := offered.Accept()
		if err != nil {
			return
		}
		s.wg.Go(func() { session(channel, requests) })
	}
}

// session runs the one command that a channel may ask for.
func session(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer func() { _ = channel.Close() }()
	env := os.Environ()
	for req := range requests {
		switch req.Type {
		case "env":
			var v struct{ Name, Value string }
			ok := ssh.Unmarshal(req.Payload, &v) == nil
			env = append(env, v.Name+"="+v.Value)
			_ = req.Reply(ok, nil)
		case "exec":
			var v struct{ Command string }
			if err := ssh.Unmarshal(req.Payload, &v); err != nil {
				_ = req.Reply(false, nil)
				return
			}
			_ = req.Reply(true, nil)
			go ssh.DiscardRequests(requests)
			run(channel, v.Command, env)
			return
		default:
			_ = req.Reply(false, nil)
		}
	}
}

func run(channel ssh.Channel, command string, env []string) {
	cmd := exec.CommandContext(context.Background(), "/bin/sh", "-c", command)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, channel, channel.Stderr()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// The command's standard input is a pipe of ours: exec would otherwise wait for the
	// client to close its side before it reports the end.
	stdin, err := cmd.StdinPipe()
	if err == nil {
		go func() {
			buf := make([]byte, 32<<10)
			for {
				n, err := channel.Read(buf)
				if n > 0 {
					if _, werr := stdin.Write(buf[:n]); werr != nil {
						return
					}
				}
				if err != nil {
					_ = stdin.Close()
					return
				}
			}
		}()
	}
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		status(channel, 0)
	case errors.As(err, &exit):
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			name := map[syscall.Signal]string{syscall.SIGTERM: "TERM", syscall.SIGKILL: "KILL", syscall.SIGINT: "INT", syscall.SIGHUP: "HUP"}[ws.Signal()]
			_, _ = channel.SendRequest("exit-signal", false, ssh.Marshal(struct {
				Signal string
				Core   bool
				Error  string
				Lang   string
			}{Signal: name}))
			return
		}
		status(channel, exit.ExitCode())
	default:
		_, _ = fmt.Fprintln(channel.Stderr(), err)
		status(channel, 127)
	}
}

func status(channel ssh.Channel, code int) {
	_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(code)}))
}
