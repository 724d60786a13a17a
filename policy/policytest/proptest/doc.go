// Package proptest property-tests pipelines: it makes up dependencies that fail in many ways and callers who come and go,
// runs a pipeline against them in virtual time, and says whether it did what it should.
//
//	func TestUsers(t *testing.T) {
//		proptest.Check(t, func(env proptest.Env) pipeline.Pipeline[User] {
//			return users(env.Clock, env.Rand) // the pipeline of the program
//		},
//			proptest.Attempts(3),
//			proptest.Within(2*time.Second),
//			proptest.NoCallWhileOpen(),
//			proptest.Recovers(time.Minute),
//		)
//	}
//
// What it finds it makes as small as it can, and shows as a timeline and as a Go test that shows it again.
//
// The numbers come from pgregory.net/rapid: its flags apply, and its generators combine with those of this package.
package proptest
