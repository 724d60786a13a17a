// Package pipehttp puts pipelines under HTTP clients and around HTTP handlers.
//
//	client := &http.Client{Transport: &pipehttp.Transport{}}
//
// [Transport] is an http.RoundTripper with a pipeline for each host, by default [Default]: retry, a circuit of the host's
// own, and a timeout for each attempt. Any other pipeline takes its place, and its policies know what a response means:
//
//	t := &pipehttp.Transport{Pipeline: func(host string) pipeline.Pipeline[*http.Response] {
//		return pipeline.Wrap(
//			&policy.Retry[*http.Response]{Attempts: 5},
//			&policy.Breaker[*http.Response]{Circuit: &policy.Circuit{Name: host}},
//		)
//	}}
//
// They go by [Meaning], which consists of [Classify], [Hint] and [Discard]. Give it to a pipeline around an http.Client
// by the pipeline's Means method.
//
// [Handler] puts a pipeline around an http.Handler. The package needs nothing but the standard library.
package pipehttp
