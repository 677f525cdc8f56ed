package ssh

import (
	"fmt"
	"strings"
	"time"

	"github.com/fairlead/fairlead/runner/command"
)

// The scripts below are for any sh (dash, busybox, bash): a node has nothing of ours
// installed. Each is sent over stdin within braces: a shell that did not get all of it
// finds no end and runs none of it.

// stepsDir is where detached steps have their directories, for a shell.
const stepsDir = `"$HOME/.fairlead/steps"`

// nodeScript is what the scripts share. A process is known by its number, its start
// and the boot: a number alone may soon be another's.
const nodeScript = `
boot() {
  b=
  { read -r b </proc/sys/kernel/random/boot_id; } 2>/dev/null
  echo "${b:-none}"
}
start() {
  if [ -r /proc/self/stat ]; then
    { IFS= read -r l <"/proc/$1/stat"; } 2>/dev/null || return 1
    set -- ${l##*) }
    case $1 in Z|X) return 1;; esac
    shift 19
    echo "$1"
  else
    l=$(LC_ALL=C ps -o lstart= -p "$1" 2>/dev/null | tr -cd '[:alnum:]')
    [ -n "$l" ] && echo "$l"
  fi
}
alive() {
  c=$(readlink claim)
  case $c in run-*) ;; *) return 1;; esac
  c=${c#run-} i=${c%%-*} c=${c#*-}
  [ "${c#*-}" = "$boot" ] && [ "$(start "$i")" = "${c%%-*}" ]
}
size() {
  set -- $(ls -ln "$1" 2>/dev/null)
  echo "${5:-0}"
}
nap() { sleep "$1" 2>/dev/null || sleep 1; }
boot=$(boot)
`

// makeScript makes a step's directory and removes what nobody came back for.
const makeScript = `
no() { echo "${mark}no $*"; exit 1; }
for tool in mkfifo dd ls tail head ln readlink find; do
  command -v $tool >/dev/null 2>&1 || no "$tool is not installed"
done
# Of a program, everybody could read the arguments.
[ "$(command -v printf)" = printf ] || no "its /bin/sh has no printf of its own"
umask 077
steps=$HOME/.fairlead/steps dir=$HOME/.fairlead/steps/$step
said=$(mkdir -p "$steps" 2>&1) || no "$said"
for old in "$steps"/*; do
  [ -n "$(find "$old" -prune -mtime +7 2>/dev/null)" ] || continue
  case $(readlink "$old/claim") in run-*) [ -e "$old/rc" ] || continue;; esac
  rm -rf "$old"
done
case $(readlink "$dir/claim") in run-*) no "the step was started before";; esac
rm -rf "$dir"
said=$({ mkdir "$dir" && cd "$dir" && echo "$boot" >boot && echo "$nonce" >nonce && mkfifo o e; } 2>&1) || no "$said"
echo "${mark}dir $dir"
`

// superviseScript claims the directory, says so, and runs the command to its end. The
// shell that sshd started is ended by its own child: what a shell puts into the
// background ignores INT and QUIT for ever, and so would the command.
//
// The command's text comes over its shell's stdin with a word behind it, so that it is
// in no command line and never run in part.
//
// A runner that ends the command for its time notes that in "overtime" before.
const superviseScript = `
no() { echo "${mark}no $*"; exit 1; }
home=$(pwd) mask=$(umask)
umask 077
cd "$dir" 2>/dev/null || no "its directory is gone"
[ "$(cat nonce 2>/dev/null)" = "$nonce" ] || no "its directory is another's"
copy() {
  at=0
  while :; do
    before=$(size "$1.$at")
    dd bs=65536 count=64 >>"$1.$at" 2>/dev/null || { cat >/dev/null; return 1; }
    now=$(size "$1.$at")
    [ "$now" = "$before" ] && return 0
    end=$((at+now))
    [ "$now" -ge 4194304 ] && at=$end
    while full "$1"; do nap 0.2; done
  done
}
full() {
  ko=0 ke=0
  { read -r ko ke <kept; } 2>/dev/null
  [ "$1" = out ] || ko=$ke
  [ $((end-ko)) -ge 67108864 ]
}
watch() {
  trap 'kill $s 2>/dev/null; exit' TERM
  sleep "$limit" &
  s=$!
  wait $s
  trap '' TERM
  echo left >timed_out
  endtree >timed_out.tmp && mv timed_out.tmp timed_out
}
answer() {
  mkfifo password
  printf '%s\n' '#!/bin/sh' 'mkdir "$0.$PPID" 2>/dev/null || { : >"${0%/*}/refused"; exit 1; }' \
    'while [ -p "${0%/*}/password" ]; do IFS= read -r p <"${0%/*}/password" && { printf "%s\n" "$p"; exit; }; done; exit 1' >ask
  chmod 700 ask
  (
    trap '' PIPE
    while [ -p password ]; do printf '%s\n' "$pw" >password; done
  ) &
  asker=$!
}
supervise() {
  me=$(exec /bin/sh -c 'echo $PPID')
  ln -s "run-$me-$(start "$me")-$boot" claim 2>/dev/null || no "it was given up before"
  trap : HUP INT TERM
  asker= timer=
  [ "$sudo" = password ] && answer >/dev/null 2>&1 </dev/null
  echo "${mark}started"
  exec </dev/null >/dev/null 2>&1
  kill -s KILL $$
  copy out <o &
  out=$!
  copy err <e &
  err=$!
  [ "$limit" -gt 0 ] && { watch & timer=$!; }
  printf '%s' "$text" | (
    i=$(exec /bin/sh -c 'echo $PPID')
    echo "$i $(start "$i")" >session.tmp && mv session.tmp session
    cd "$home"
    umask "$mask"
    launch
  ) >o 2>e
  code=$? lost=
  wait $out || lost=lost
  wait $err || lost=lost
  why=-
  [ -e refused ] && why=refused
  if [ -n "$timer" ]; then
    [ -e timed_out ] || kill $timer 2>/dev/null
    wait $timer
    case $(cat timed_out 2>/dev/null) in gone) why=timed_out;; left*) why=left;; esac
  fi
  if [ "$why" = - ] && [ -e overtime ]; then
    case $(endtree) in gone) why=timed_out;; *) why=left;; esac
  fi
  [ -n "$asker" ] && kill $asker 2>/dev/null
  echo "$code $why $lost" >rc.tmp && mv rc.tmp rc
  sync rc out.* err.* . 2>/dev/null
}
( supervise )
`

// endtreeScript sets up killScript for a detached step: who its shell is stands in
// the directory, and it may be about to be written.
const endtreeScript = `
n=0
while [ ! -s session ] && [ ! -e rc ] && alive && [ $n -lt 25 ]; do n=$((n+1)); nap 0.2; done
[ -s session ] || [ -e rc ] || ! alive || { echo "left $i"; exit 0; }
pid=0 began=
{ read -r pid began <session; } 2>/dev/null
alive=0
[ -n "$began" ] && [ "$(start "$pid")" = "$began" ] && alive=1
`

// followScript tells what there is of output from o and e on, and then the end.
// Where nothing has claimed the directory it sees to it that nothing ever will.
//
// Each message is a line; behind "o N" and "e N" come N bytes. What the runner has kept
// comes over stdin; when that ends the connection has, and so does this.
const followScript = `
cd "$dir" 2>/dev/null || { echo g; exit; }
umask 077
c=$(readlink claim)
if [ -z "$c" ]; then
  [ "$boot" != none ] && [ "$(cat boot 2>/dev/null)" = "$boot" ] || { echo g; exit; }
  ln -s never claim 2>/dev/null
  c=$(readlink claim)
fi
case $c in
run-*) ;;
never) echo n; exit;;
*) echo g; exit;;
esac
ko=0 ke=0
{ read -r ko ke <kept; } 2>/dev/null
[ "$ko" -gt "$o" ] && o=$ko
[ "$ke" -gt "$e" ] && e=$ke
echo f $o $e
drop() {
  for f in "$1".*; do
    a=${f#*.}
    [ "$a" -lt "$2" ] || continue
    n=$(size "$f")
    [ "$n" -gt 0 ] && [ $((a+n)) -le "$2" ] && [ -e "$1.$((a+n))" ] && rm -f "$f"
  done
}
exec 3<&0 </dev/null
(
  while read -r ko ke; do
    po=0 pe=0 # an earlier connection's last words may come late
    { read -r po pe <kept; } 2>/dev/null
    [ "$ko" -lt "$po" ] || [ "$ke" -lt "$pe" ] && continue
    echo "$ko $ke" >kept.tmp && mv kept.tmp kept
    drop out "$ko"
    drop err "$ke"
  done
  kill $$
) <&3 3<&- >/dev/null 2>&1 &
keeper=$!
exec 3<&-
piece() {
  n=0 best=-1
  for f in "$2".*; do
    a=${f#*.}
    [ -e "$f" ] && [ "$a" -le "$3" ] && [ "$a" -gt "$best" ] && best=$a
  done
  [ $best -ge 0 ] || return
  n=$((best+$(size "$2.$best")-$3))
  [ $n -gt 0 ] || { n=0; return; }
  [ $n -gt 1048576 ] && n=1048576
  echo "$1" $n
  tail -c +$(($3-best+1)) "$2.$best" | head -c $n
  idle=0
}
idle=0
while :; do
  over=
  [ -e rc ] && over=1
  idle=$((idle+1))
  piece o out $o
  o=$((o+n))
  piece e err $e
  e=$((e+n))
  [ $idle -gt 0 ] || continue
  if [ -n "$over" ]; then
    read -r code why lost <rc
    case $code in ''|*[!0-9]*) echo g;; *) echo x "$code" "$why" "$lost";; esac
    break
  elif [ $idle -le 10 ]; then
    nap 0.1
  elif alive; then
    sleep 1
  elif [ ! -e rc ]; then
    case $(readlink claim) in *-"$boot") echo d;; *) echo r;; esac
    break
  fi
done
kill $keeper 2>/dev/null
`

// removeStepScript removes a step's directory unless it runs.
const removeStepScript = `
no() { echo "${mark}no $*"; exit 1; }
if cd "$dir" 2>/dev/null; then
  [ ! -e rc ] && alive && no "it still runs"
  cd / && said=$(rm -rf -- "$dir" 2>&1) || no "$said"
fi
echo "${mark}removed"
`

// inBraces makes one compound command of scripts.
func inBraces(scripts ...string) string {
	return "{\n" + strings.Join(scripts, "\n") + "\nexit\n}\n"
}

// names are the variables that all scripts of the step begin with.
func (d *detached) names() string {
	return fmt.Sprintf("mark=%s step=%s\ndir=%s/$step", command.Quote(d.mark), command.Quote(d.step), stepsDir)
}

// nodeLimitMore is how much later than the runner a supervisor ends its command.
const nodeLimitMore = 5 * time.Second

// supervisor are the scripts that start the command. Its node keeps the step's time, in
// case nobody else can: a little later than the runner, so that one of them ends it.
func (d *detached) supervisor() []string {
	limit := int64(0)
	if d.limit > 0 {
		limit = int64((d.limit + nodeLimitMore + time.Second - 1) / time.Second)
	}
	shell := d.target.shell
	if shell == "" {
		shell = `"${SHELL:-/bin/sh}"`
	}
	end := d.mark + string(markEnd)
	run := `E=$(cat); exec </dev/null; case $E in *` + end + `) eval "${E%` + end + `}";; *) exit 126;; esac`
	return []string{
		"nonce=" + command.Quote(d.nonce), fmt.Sprintf("limit=%d", limit), d.killSettings() + " dirs=" + d.dirs(),
		"run=" + command.Quote(run), "text=" + command.Quote(d.whole("E")+"\n"+end), nodeScript,
		"launch() {\ncommand -v setsid >/dev/null 2>&1 && exec setsid " + shell + " -c \"$run\"\nexec " + shell + " -c \"$run\"\n}",
		"endtree() (\n" + endtreeScript + killScript + ")", superviseScript,
	}
}

// killSettings are what killScript is told but for the processes.
func (d *detached) killSettings() string {
	return fmt.Sprintf("look= grace=%d sudo=%s pw=%s", int(max(d.command.Grace, 0)/(100*time.Millisecond)), d.elevation(),
		command.Quote(string(d.target.sudo.password)))
}
