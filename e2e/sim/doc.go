// Package sim runs the real hub and the real runner through seeded histories in which
// everything that can fail does: hubs and runners are killed at any commit, disk write
// or frame, hosts lose power, connections break or go silent, disks are copied. The
// network, the disk and the machine are in memory and forget what was not kept; time is
// that of a synctest bubble, so an hour costs milliseconds. What the commands
// themselves saw is held against what the hub tells in the end.
//
// The database is a serial one behind the store's connection: SQLite in memory, which
// all hubs of a history share and which stays open for the next (storetest.Serial). Where
// there are two primaries the second member goes on with a copy of it, and ticks, marks and
// incarnations are those of hub/cluster.
// Races between transactions are not for this package; hub/store tests its statements on
// both real databases.
//
// Faults, delays and workflows follow from the seed. How goroutines interleave within one
// moment does not, so a seed that failed may pass when it is run again. The report of a
// failure has the whole story, and -seed plays a history until it fails again:
//
//	go test -tags failpoints ./e2e/sim -run TestHistories -args -seed 568
//	go test -tags failpoints ./e2e/sim -run TestHistories -args -histories 20000 -first 1000
package sim
