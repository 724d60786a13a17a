// Package sim simulates pipelines in virtual time.
package sim
