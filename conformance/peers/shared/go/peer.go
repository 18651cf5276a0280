// Package peer is a yamuxspec peer (docs/yamuxspec.md) but for the yamux
// library: a program hands Main what starts a session of its library.
package peer

import (
	"flag"
	"io"
	"log"
	"net"
	"strings"
	"time"
)

// Session is what the application needs of a session; one that can drain has
// GoAway() error as well.
type Session interface {
	Accept() (Stream, error)
	Open() (Stream, error)
	Close() error
	CloseChan() <-chan struct{} // closed when the session has ended
}

// Stream is what the application needs of a stream; one that can be reset has
// Reset() error as well.
type Stream interface {
	io.ReadWriter
	CloseWrite() error      // ends our direction, as far as the library can
	Close() error           // ends both
	IsReset(err error) bool // err says that the other side has reset it
}

type drainer interface{ GoAway() error }
type resetter interface{ Reset() error }

// Main reads the flags and serves; start makes a session on a connection.
func Main(start func(conn net.Conn, client bool) (Session, error)) {
	mode := flag.String("mode", "echo", "what the application does")
	address := flag.String("address", "", "tcp://HOST:PORT or unix:///PATH")
	role := flag.String("role", "server", "yamux role: server or client")
	dial := flag.Bool("dial", false, "dial the address instead of listening")
	flag.Parse()
	network, place, found := strings.Cut(*address, "://")
	if !found {
		log.Fatalf("-address %q: tcp://HOST:PORT or unix:///PATH", *address)
	}
	serve := func(conn net.Conn) {
		session, err := start(conn, *role == "client")
		if err != nil {
			log.Fatal(err)
		}
		accept(session, *mode)
	}
	for *dial {
		conn, err := net.Dial(network, place)
		if err != nil {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		serve(conn)
	}
	listener, err := net.Listen(network, place)
	if err != nil {
		log.Fatal(err)
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serve(conn)
	}
}

func accept(session Session, mode string) {
	if mode == "noaccept" {
		<-session.CloseChan()
		return
	}
	for {
		stream, err := session.Accept()
		if err != nil {
			session.Close()
			return
		}
		go run(session, stream, mode)
	}
}
