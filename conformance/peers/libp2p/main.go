// A yamuxspec peer around libp2p/go-yamux: every mode of docs/yamuxspec.md.
//
//	peer -mode echo -address tcp://127.0.0.1:4000 [-role server] [-dial]
package main

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/libp2p/go-yamux/v5"
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
	made, err := begin(conn, config, nil)
	return session{made}, err
}

type session struct{ *yamux.Session }

func (s session) Accept() (peer.Stream, error) {
	accepted, err := s.AcceptStream()
	return stream{accepted}, err
}

func (s session) Open() (peer.Stream, error) {
	opened, err := s.OpenStream(context.Background())
	return stream{opened}, err
}

type stream struct{ *yamux.Stream }

func (s stream) IsReset(err error) bool {
	var streamError *yamux.StreamError
	return errors.As(err, &streamError) ||
		errors.Is(err, yamux.ErrStreamReset)
}
