// Package sim runs the real hub and the real runner through seeded histories in which
// everything that can fail does: hubs and runners are killed at any commit, disk write
// or frame, hosts lose power, connections break or go silent, disks are copied. The
// network, the disk and the machine are in memory and forget what was not kept; time is
// that of a synctest bubble, so an hour costs milliseconds. What the commands
// themselves saw is held against what the hub tells in the end.
//
// Faults, delays and workflows follow from the seed. How goroutines interleave does
// not, so a seed that failed may pass when it is run again: the report of a failure
// has the whole story.
package sim
