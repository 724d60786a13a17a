// Whole programs that use Holdfast, in a module of their own.
module github.com/holdfast-go/holdfast/examples

go 1.26

replace github.com/holdfast-go/holdfast => ..

require (
	github.com/holdfast-go/holdfast v0.0.0
	github.com/stretchr/testify v1.12.1
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect
