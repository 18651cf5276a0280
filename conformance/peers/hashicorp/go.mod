module orthrus/conformance/peers/hashicorp

go 1.19

require github.com/hashicorp/yamux v0.1.2

require orthrus/conformance/peers/shared/go v0.0.0

replace orthrus/conformance/peers/shared/go => ../shared/go
