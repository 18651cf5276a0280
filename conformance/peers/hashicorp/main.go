// A yamuxspec peer around hashicorp/yamux: every mode of docs/yamuxspec.md
// that its API can do. It cannot reset a stream or finish one half only.
//
//	peer -mode echo -address tcp://127.0.0.1:4000 [-role server] [-dial]
package main

import (
	"errors"
	"io"
	"net"

	"github.com/hashicorp/yamux"
	peer "orthrus/conformance/peers/shared/go"
)

func main() { peer.Main(start) }

func start(conn net.Conn, client bool) (peer.Session, error) {
	config := yamux.DefaultConfig()
	config.LogOutput = io.Discard
	begin := yamux.Server
	if client {
		begin = yamux.Client
	}
	made, err := begin(conn, config)
	return session{made}, err
}

type session struct{ *yamux.Session }

func (s session) Accept() (peer.Stream, error) {
	accepted, err := s.AcceptStream()
	return stream{accepted}, err
}

func (s session) Open() (peer.Stream, error) {
	opened, err := s.OpenStream()
	return stream{opened}, err
}

type stream struct{ *yamux.Stream }

// CloseWrite ends what the library lets one end: both directions.
func (s stream) CloseWrite() error { return s.Close() }

func (s stream) IsReset(err error) bool {
	return errors.Is(err, yamux.ErrConnectionReset)
}
