// A yamuxspec peer around libp2p/go-yamux: every mode of docs/yamuxspec.md
// that its API can do. It cannot drain a session.
//
//	peer -mode echo -address tcp://127.0.0.1:4000 [-role server] [-dial]
package main

import (
	"flag"
	"io"
	"log"
	"net"
	"strings"
	"time"

	"github.com/libp2p/go-yamux/v5"
)

func main() {
	mode := flag.String("mode", "echo", "what the application does")
	address := flag.String("address", "", "tcp://HOST:PORT or unix:///PATH")
	role := flag.String("role", "server", "yamux role: server or client")
	dial := flag.Bool("dial", false, "dial the address instead of listening")
	flag.Parse()
	network, place, found := strings.Cut(*address, "://")
	if !found {
		log.Fatalf("-address %q: tcp://HOST:PORT or unix:///PATH", *address)
	}
	for *dial {
		conn, err := net.Dial(network, place)
		if err != nil {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		serve(conn, *role, *mode)
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
		go serve(conn, *role, *mode)
	}
}

func serve(conn net.Conn, role, mode string) {
	config := yamux.DefaultConfig()
	config.LogOutput = io.Discard
	start := yamux.Server
	if role == "client" {
		start = yamux.Client
	}
	session, err := start(conn, config, nil)
	if err != nil {
		log.Fatal(err)
	}
	if mode == "noaccept" {
		<-session.CloseChan()
		return
	}
	for {
		stream, err := session.AcceptStream()
		if err != nil {
			session.Close()
			return
		}
		go run(session, stream, mode)
	}
}
