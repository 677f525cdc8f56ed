package wire

// UnsentBytes bounds what the kernel takes of a connection before it is on its way.
// Without, it takes megabytes of output on a slow link, and what is said next, however
// urgent, waits behind them.
const UnsentBytes = 128 << 10
