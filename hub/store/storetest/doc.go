// Package storetest gives tests a real store: a SQLite file of their own, a database
// of their own in a PostgreSQL server that the test process starts, or both in turn.
//
// There is no fake: Serial, for the simulation, is SQLite too. A test about claims, leases
// or anything else that several may fight over runs on PostgreSQL too (Run): SQLite has
// one writer and hides races.
package storetest
