// Package balancer runs clusters behind the balancers that installer/ has
// configurations for, with those very files.
package balancer
