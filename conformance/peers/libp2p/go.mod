module orthrus/conformance/peers/libp2p

go 1.24

require github.com/libp2p/go-yamux/v5 v5.1.0

require github.com/libp2p/go-buffer-pool v0.0.2 // indirect

require orthrus/conformance/peers/shared/go v0.0.0

replace orthrus/conformance/peers/shared/go => ../shared/go
