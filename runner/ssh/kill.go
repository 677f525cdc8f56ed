package ssh

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/fairlead/fairlead/runner/command"
	"github.com/fairlead/fairlead/runner/task"
)

// killScript ends everything that belongs to a command and prints "gone", or "left"
// and the process ids that would not go. It is POSIX sh and reads /proc itself, so
// that it sees other users' processes and needs no tools; elsewhere it asks ps.
//
// A process belongs to the command when it is in the session or group of the shell
// that sshd started, has the step's name in its environment, or descends from one
// that does. sudo is asked where the command used it, since its processes may be
// another user's; a refusal is the last time, because each wrong password brings the
// account nearer to being locked. Where that shell has ended (alive=0) its number may be another's by now:
// then only the environment counts. The shell's group is signalled at once: one after
// the other, a shell could start its next command when the one it waits for dies. The
// password is said by what is built into the shell: of a program, as printf is to the
// sh of AIX and OpenBSD, which have print, everybody could read the arguments.
//
// With look=1 it ends nothing: it removes what was copied if nothing is left of the
// command. Then a script's path in a command line counts, too.
const killScript = `
own() { :; }
if [ -r /proc/self/stat ]; then
  all() {
    for f in /proc/[0-9]*/stat; do
      { IFS= read -r l <"$f"; } 2>/dev/null || continue
      i=${l%% *}; set -- ${l##*) }
      case $1 in Z|X) continue;; esac
      echo "$i $2 $3 $4"
    done
  }
  own() {
    {
      grep -lsF "FAIRLEAD_STEP=$step" /proc/[0-9]*/environ
      [ -n "$look" ] && grep -ls "[f]airlead-$step-" /proc/[0-9]*/cmdline
    } 2>/dev/null | while IFS=/ read -r a b i c; do echo "$i"; done
  }
else
  all() { ps -A -o pid= -o ppid= -o pgid= | while read -r i pp g; do echo "$i $pp $g $g"; done; }
fi
find() {
  list=$(all)
  found=" $(echo $(own)) "
  while :; do
    before=$found
    while read -r i pp g x; do
      case $found in *" $i "*) continue;; esac
      case $found in *" $pp "*) found="$found$i "; continue;; esac
      if [ "$alive" = 1 ]; then
        if [ "$i" = "$pid" ] || [ "$g" = "$pid" ] || [ "$x" = "$pid" ]; then found="$found$i "; fi
      fi
    done <<EOT
$list
EOT
    [ "$before" = "$found" ] && break
  done
  live= rest= group=
  while read -r i pp g x; do
    case $found in *" $i "*) ;; *) continue;; esac
    live="$live $i"
    if [ "$alive" = 1 ] && [ "$g" = "$pid" ]; then group=-$pid; else rest="$rest $i"; fi
  done <<EOT
$list
EOT
  [ -n "$live" ]
}
say() {
  case $(command -v printf) in
  printf) printf '%s\n' "$1";;
  *) print -r -- "$1";;
  esac
}
hit() {
  if [ -n "$group" ]; then kill -s "$1" -- $group 2>/dev/null; fi
  if [ -n "$rest" ]; then kill -s "$1" $rest 2>/dev/null; fi
  case $sudo in
  no) return;;
  password) said=$(say "$pw" | LC_ALL=C command sudo -S -p '' kill -s "$1" $live 2>&1) && return;;
  *) said=$(LC_ALL=C command sudo -n kill -s "$1" $live 2>&1 </dev/null) && return;;
  esac
  case $said in *kill:*) ;; *) sudo=no;; esac # not kill's own words, so a refusal
}
gone() {
  find && return 1
  find && return 1
  echo gone
  [ -n "$dirs" ] && rm -rf -- "$dirs"-*
  exit 0
}
gone
[ "$look" = 1 ] && { echo left $live; exit 0; }
hit TERM
t=0
while [ $t -lt $grace ]; do
  gone
  if sleep 0.1 2>/dev/null; then t=$((t+1)); else sleep 1; t=$((t+10)); fi
done
t=0
while [ $t -lt 50 ]; do
  gone
  hit KILL
  if sleep 0.1 2>/dev/null; then t=$((t+1)); else sleep 1; t=$((t+10)); fi
done
gone
echo left $live
`

// killed is what is known after trying to end a command.
type killed struct {
	gone bool
	// left are process ids that still run, for people.
	left string
	err  error
}

// kill ends the command from another channel, or another connection if need be. alive
// says that the shell that reported pid has not ended as far as we know.
func (p *process) kill(pid int, alive bool) killed {
	grace := max(p.command.Grace, 0)
	ctx, cancel := context.WithTimeout(context.Background(), grace+45*time.Second)
	defer cancel()
	return p.runKillScript(ctx, fmt.Sprintf("pid=%d alive=%s grace=%d sudo=%s pw=%s", pid, digit(alive),
		int(grace/(100*time.Millisecond)), p.elevation(), command.Quote(string(p.target.sudo.password))))
}

// Clean implements task.Cleaner: it removes what was copied for a command, if nothing
// of that runs.
func (e *Executor) Clean(ctx context.Context, c *task.Command) error {
	t, err := e.readTarget(c)
	if err != nil {
		return err
	}
	if c.Detached {
		err = e.detached(t, c).remove(ctx)
	}
	if err != nil || t.bare || c.Script == nil && !t.pty {
		return err // nothing was copied
	}
	p := &process{executor: e, target: t, command: c, step: c.Name(), copied: true}
	return p.runKillScript(ctx, "look=1 pid=0 alive=0").err
}

func (p *process) runKillScript(ctx context.Context, settings string) killed {
	ch, err := p.executor.openChannel(ctx, p.target)
	if err != nil {
		return killed{err: err}
	}
	head := settings + " step=" + command.Quote(p.step) + " dirs=" + p.dirs() + "\n"
	// Over stdin, so that neither quoting nor the login shell matters and nobody on
	// the node reads the password in a command line.
	stdout, stderr, _, err := ch.call(ctx, "exec /bin/sh -s", strings.NewReader(head+killScript))
	out := strings.TrimSpace(string(stdout))
	switch {
	case strings.HasSuffix(out, "gone"):
		return killed{gone: true}
	case strings.Contains(out, "left"):
		_, left, _ := strings.Cut(out, "left")
		return killed{left: strings.TrimSpace(left)}
	case err == nil:
		err = fmt.Errorf("looking for its processes: %s", firstLine(stderr))
	}
	return killed{err: err}
}

// elevation says how the command's end may call sudo.
func (p *process) elevation() string {
	switch {
	case !p.target.sudo.used || p.answers.wasRefused():
		return "no"
	case len(p.target.sudo.password) > 0:
		return "password"
	}
	return "free"
}

// dirs is what the names of the directories begin with that go with the command.
func (p *process) dirs() string {
	if !p.copied {
		return ""
	}
	return p.prefix()
}

func digit(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
