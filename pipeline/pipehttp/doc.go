// Package pipehttp puts pipelines under HTTP clients and around HTTP handlers.
//
//	client := &http.Client{Transport: &pipehttp.Transport{}}
//
// [Transport] is an http.RoundTripper with a pipeline for each host, by default [Default]: retry, a circuit of the host's
// own, and a timeout for each attempt. Pipelines of one's own are made of the same parts: [Classify] says what a response
// means, [Hint] reads Retry-After, and [Discard] frees a response that nobody will see.
//
// [Handler] puts a pipeline around an http.Handler. The package needs nothing but the standard library.
package pipehttp
