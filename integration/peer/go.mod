module orthrus/integration/peer

go 1.19

require (
	github.com/gorilla/mux v1.8.0
	github.com/gorilla/websocket v1.5.3
	github.com/hashicorp/yamux v0.1.2
)
