// Package sim simulates what pipelines do to a service, and a service to them: fleets of clients that run real policies,
// a server that has a latency and gets into trouble, and requests that arrive as they please. It runs in virtual time: five
// minutes of traffic take some tenths of a second. It answers what a unit test cannot, such as whether a service that
// is overloaded for ten seconds ever comes back, and with how many retries.
//
// [Run] takes a [Setup] and gives a [Report], which is text by its String, data by JSON, and a page with charts by its
// WriteHTML. [Repeat] runs a setup with many seeds. A [Page] puts several reports side by side.
//
// # What is simulated
//
// Requests arrive at the [Arrivals] given, whatever becomes of those before, and go to the clients in turn. Each runs
// through its client's pipeline: the policies themselves, not a model of them. Every attempt is a call of the [Server],
// whose latency depends on the calls that it has in flight and on the [Phase] it is in. A client that gives up does not
// relieve the server. Calls heed their context: they end when it does.
//
// # What is the same every time
//
// Everything random comes from Setup.Seed, and one thing happens after the other, so a Setup gives the same Report to
// the byte: run after run, on any machine, with any GOMAXPROCS. That takes policies that wait and measure by Env.Clock
// and draw from Env.Rand; Run panics if one is on another clock.
package sim
