// Package browser drives the front end in a real browser, against the real hub, runner
// and sshd: what a person does from the sign-in link to the end of a cancelled command.
package browser
