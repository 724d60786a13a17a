// Package clients holds tests of other makers' clients and proxies over a pipehttp.Transport: the AWS SDK's S3 client,
// WebSockets, a reverse proxy, redirects with bodies, and PUTs to a server that restarts all the time. What works over
// net/http works over a pipeline, and goes on working while the server fails now and then.
package clients
