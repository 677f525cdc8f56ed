package task

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/runner/command"
	"github.com/fairlead/fairlead/runner/logfilter"
	"github.com/fairlead/fairlead/runner/mask"
)

// Names of the executors of this build.
const (
	ExecutorSSH   = "ssh"
	ExecutorLocal = "local"
)

// defaultGrace is how long TERM may take before KILL when nobody says.
const defaultGrace = 10 * time.Second

// executorOf returns which executor a node asks for. The names that Rundeck's node
// files use for its SSH executors mean ours.
func executorOf(spec *runnerv1.Spec, node *runnerv1.Node) string {
	name := node.GetAttributes()["node-executor"]
	if name == "" {
		name = spec.GetProject()["node-executor"]
	}
	switch name {
	case "", "ssh", "jsch-ssh", "sshj-ssh", "openssh":
		return ExecutorSSH
	default:
		return name
	}
}

// detached reports whether a cell is to outlive the runner on a node of its own. What
// runs on the runner's host does so anyway.
func detached(spec *runnerv1.Spec, c Cell) bool {
	return spec.GetSteps()[c.Step].GetDetached() && executorOf(spec, spec.GetNodes()[c.Node]) != ExecutorLocal
}

// settings are the node's attributes over the project's settings.
func settings(spec *runnerv1.Spec, node *runnerv1.Node) map[string]string {
	out := maps.Clone(spec.GetProject())
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, node.GetAttributes())
	return out
}

// vault holds the secrets of an attempt, in memory alone.
type vault struct {
	options map[string]string
	keys    map[string][]byte
	lacking []string // why options that no step can do without have no value
	masks   [][]byte
	masker  *mask.Masker
}

func newVault(s *runnerv1.Secrets) *vault {
	v := &vault{options: s.GetOptions(), keys: s.GetKeys(), lacking: s.GetLacking()}
	for _, value := range v.options {
		v.masks = append(v.masks, []byte(value))
	}
	for path, value := range v.keys {
		if !isPublic(path, value) {
			v.masks = append(v.masks, value)
		}
	}
	v.masker = mask.New(v.masks)
	return v
}

// lacks tells why nothing may be begun, a probe neither: with nothing in a value's place it
// would look elsewhere. What runs already is found, and cleaned up, without.
func (v *vault) lacks() error {
	if len(v.lacking) == 0 {
		return nil
	}
	return errors.New(strings.Join(v.lacking, " "))
}

// isPublic reports whether a key is no secret: masking a public key would hide
// authorized_keys lines and the like. A password may begin like one.
func isPublic(path string, value []byte) bool {
	return strings.HasSuffix(path, ".pub") || strings.HasPrefix(string(value), "ssh-") && strings.Contains(string(value), " AAAA")
}

// build makes the command of a cell; data are captured values by node. Its error is what
// is wrong with the job.
func build(spec *runnerv1.Spec, attemptID string, c Cell, v *vault, data captured) (*Command, error) {
	node, step := spec.GetNodes()[c.Node], spec.GetSteps()[c.Step]
	ctx := command.NewContext(spec, node, v.options)
	ctx.Data = data
	cmd := &Command{
		AttemptID: attemptID, Cell: c, Node: node, Settings: settings(spec, node), Env: command.Env(ctx),
		Keys: v.keys, Options: v.options, Masks: v.masks,
		Filters: filterDefinitions(spec, step), LogLevel: spec.GetLogLevel(),
		Timeout: time.Duration(step.GetTimeoutMs()) * time.Millisecond, Grace: defaultGrace,
		Detached: detached(spec, c),
	}
	var err error
	switch work := step.GetWork().(type) {
	case *runnerv1.Step_Exec:
		cmd.Text, err = command.Expand(work.Exec, ctx)
	case *runnerv1.Step_Script:
		cmd.Script, err = buildScript(work.Script, ctx)
	default:
		err = fmt.Errorf("step %d has work of a kind that this runner does not know: upgrade the runner", step.GetNumber())
	}
	return cmd, err
}

func buildScript(s *runnerv1.Script, ctx command.Context) (*Script, error) {
	text, err := command.ExpandScript(s.GetText(), ctx)
	if err != nil {
		return nil, err
	}
	args := s.GetArgs()
	if s.GetArgsText() != "" {
		if args, err = command.ExpandArgs(s.GetArgsText(), ctx); err != nil {
			return nil, err
		}
	}
	interpreter, err := command.Expand(s.GetInterpreter(), ctx) // it is shell text, as the executors use it
	if err != nil {
		return nil, err
	}
	return &Script{
		Text: text, Args: args, Interpreter: interpreter,
		ArgsQuoted: s.GetArgsQuoted(), FileExtension: s.GetFileExtension(),
	}, nil
}

// probeTry marks the commands of probes apart from those of tries, since a shim's
// directory is named by the cell.
const probeTry = 1 << 20

// buildProbe makes the command that asks whether a try happened.
func buildProbe(spec *runnerv1.Spec, attemptID string, c Cell, v *vault, data captured) (*Command, error) {
	node, step := spec.GetNodes()[c.Node], spec.GetSteps()[c.Step]
	ctx := command.NewContext(spec, node, v.options)
	ctx.Data = data
	text, err := command.Expand(step.GetProbe(), ctx)
	return &Command{
		AttemptID: attemptID, Cell: Cell{Node: c.Node, Step: c.Step, Try: c.Try + probeTry}, Node: node,
		Settings: settings(spec, node), Text: text, Env: command.Env(ctx),
		Keys: v.keys, Options: v.options, Masks: v.masks, Timeout: probeTimeout, Grace: defaultGrace,
		Filters: logfilter.Masks(filterDefinitions(spec, step)),
	}, err
}
