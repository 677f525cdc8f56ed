// Package config is the hub's configuration: one struct, its defaults, and where each
// value came from: flag, then environment, then file, then default.
//
// Names are derived from the struct, not from strings: cluster.heartbeat.considerDead
// is FAIRLEAD_HUB_CLUSTER_HEARTBEAT_CONSIDER_DEAD in the environment, and a secret may
// also come from the file that the name with _FILE points at. A name that is not known
// is an error with the nearest one that is.
package config
