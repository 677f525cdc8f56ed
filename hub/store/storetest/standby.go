package storetest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// Standby makes a streaming standby of the server and starts it. It ends with the server.
func (s *Server) Standby(t testing.TB) *Server {
	t.Helper()
	twin := &Server{dir: s.dir, data: "standby", port: "5433", bin: s.bin, creds: s.creds, fsync: s.fsync, alive: s.alive}
	s.run(t, "pg_basebackup", "-h", s.dir, "-p", s.port, "-U", "postgres", "-D", filepath.Join(s.dir, twin.data), "-R", "-X", "stream", "--checkpoint=fast", "--no-sync")
	f, err := os.OpenFile(filepath.Join(s.dir, twin.data, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = fmt.Fprintf(f, "port = %s\n", twin.port)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatalf("setting the standby's port: %v", err)
	}
	twin.Start(t)
	s.SQL(t, "postgres", untilStreaming)
	return twin
}

// untilStreaming waits for the standby: a server that is stopped in good order sends all
// that it has to a standby that is connected, and waits for no other. Within a transaction
// the view stays as it was at the first look, unless that is dropped.
const untilStreaming = `DO $$ BEGIN
	FOR i IN 1..3000 LOOP
		IF EXISTS (SELECT 1 FROM pg_stat_replication WHERE state = 'streaming') THEN RETURN; END IF;
		PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();
	END LOOP;
	RAISE EXCEPTION 'no standby streams';
END $$`

// Stop ends the server in good order.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.control(t, "stop", "-m", "fast")
}

// Promote makes a standby the primary.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	s.control(t, "promote")
}

// Dump writes a database of the server into an empty one of another.
func (s *Server) Dump(t testing.TB, database string, into *Server, name string) {
	t.Helper()
	file := filepath.Join(s.dir, "dump")
	s.run(t, "pg_dump", "-d", s.URL(database), "-Fc", "-f", file)
	s.run(t, "pg_restore", "-d", into.URL(name), file)
}

// SQL runs one statement in a database of the server.
func (s *Server) SQL(t testing.TB, database, statement string) {
	t.Helper()
	s.run(t, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", s.URL(database), "-c", statement)
}

// run runs a program of PostgreSQL as the server's user.
func (s *Server) run(t testing.TB, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), filepath.Join(s.bin, program), args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.creds}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
}
