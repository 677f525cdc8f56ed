package lab

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// AtClock starts a process whose wall clock is off by so much, in whole seconds; its
// monotonic clock is right. Our programs are static, so no library can be put before
// them, and a time namespace moves every clock but this one. What Go programs ask is
// the code that the kernel maps into them (the vDSO): it is replaced in this one process
// before its first instruction.
func AtClock(off time.Duration) Starter {
	return func(dir, name string, env []string, program string, args ...string) (*Process, error) {
		return startProcess(func(cmd *exec.Cmd) error { return startTraced(cmd, int32(off/time.Second)) }, dir, name, env, program, args...)
	}
}

// startTraced starts the program stopped, changes it and lets it go.
func startTraced(cmd *exec.Cmd, seconds int32) error {
	runtime.LockOSThread() // the kernel takes the tracer's calls from its thread alone
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr.Ptrace = true
	if err := cmd.Start(); err != nil {
		return err
	}
	pid := cmd.Process.Pid
	var status syscall.WaitStatus
	_, err := syscall.Wait4(pid, &status, 0, nil)
	if err == nil {
		err = replaceClock(pid, seconds)
	}
	return errors.Join(err, syscall.PtraceDetach(pid))
}

// replaceClock writes over the vDSO's clock_gettime.
func replaceClock(pid int, seconds int32) error {
	base, err := vdsoBase(pid)
	if err != nil {
		return err
	}
	image := make([]byte, 2*os.Getpagesize())
	if _, err := syscall.PtracePeekData(pid, base, image); err != nil {
		return fmt.Errorf("reading the vDSO: %w", err)
	}
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return fmt.Errorf("reading the vDSO: %w", err)
	}
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return fmt.Errorf("reading the vDSO: %w", err)
	}
	for _, s := range symbols {
		if s.Name == "__vdso_clock_gettime" {
			_, err := syscall.PtracePokeText(pid, base+uintptr(s.Value), clockCode(seconds))
			return err
		}
	}
	return errors.New("the vDSO has no clock_gettime")
}

// clockCode is clock_gettime(clock, *timespec): the system call, and then so many seconds
// more if the clock was CLOCK_REALTIME.
func clockCode(seconds int32) []byte {
	code := []byte{
		0xb8, 228, 0, 0, 0, // mov eax, SYS_clock_gettime
		0x0f, 0x05, // syscall
		0x85, 0xff, // test edi, edi
		0x75, 0x07, // jne over the next
		0x48, 0x81, 0x06, 0, 0, 0, 0, // add qword [rsi], seconds
		0xc3, // ret
	}
	binary.LittleEndian.PutUint32(code[14:], uint32(seconds))
	return code
}

// vdsoBase is where the kernel mapped the vDSO.
func vdsoBase(pid int) (uintptr, error) {
	vector, err := os.ReadFile(fmt.Sprintf("/proc/%d/auxv", pid))
	if err != nil {
		return 0, fmt.Errorf("looking for the vDSO: %w", err)
	}
	const sysinfoEHDR = 33
	for ; len(vector) >= 16; vector = vector[16:] {
		if binary.LittleEndian.Uint64(vector) == sysinfoEHDR {
			return uintptr(binary.LittleEndian.Uint64(vector[8:])), nil
		}
	}
	return 0, errors.New("the kernel maps no vDSO")
}
