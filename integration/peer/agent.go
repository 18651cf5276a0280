package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/hashicorp/yamux"
)

const (
	prefaceDocker  = 0x01
	prefaceForward = 0x02
	connectPath    = "/api/v1/ws/orthrus/connect"
)

// An agent dials the server for ever and serves the streams of each session.
type agent struct {
	url, key, id, socket string
	tls                  *tls.Config
	raw                  bool
	delay, delayMax      time.Duration
	heartbeat            time.Duration
	faults               faults
}

func runAgent(args []string, raw bool) error {
	a := agent{raw: raw}
	set := flag.NewFlagSet("agent", flag.ExitOnError)
	set.StringVar(&a.url, "server-url", "", "ws:// or wss:// `URL`")
	set.StringVar(&a.key, "auth-key", "", "agent key")
	set.StringVar(&a.id, "agent-id", "unknown", "name to show")
	set.StringVar(&a.socket, "docker-socket", "/var/run/docker.sock", "")
	authorities := set.String("ca-file", "",
		"PEM `FILE` of certificates to trust instead of the system's")
	set.DurationVar(&a.delay, "reconnect-delay", 5*time.Second,
		"first pause between connects; doubles up to twelve times itself")
	set.DurationVar(&a.heartbeat, "heartbeat", 30*time.Second, "")
	a.faults.register(set)
	_ = set.Parse(args)
	for name, value := range map[string]*string{
		"ORTHRUS_AUTH_KEY":      &a.key,
		"ORTHRUS_SERVER_URL":    &a.url,
		"ORTHRUS_AGENT_ID":      &a.id,
		"ORTHRUS_DOCKER_SOCKET": &a.socket,
	} {
		if set := os.Getenv(name); set != "" {
			*value = set
		}
	}
	if a.key == "" || a.url == "" {
		return errors.New("needs --server-url and --auth-key")
	}
	target, err := url.Parse(a.url)
	if err != nil {
		return err
	}
	if target.Path == "" || target.Path == "/" {
		target.Path = connectPath
	}
	a.url = target.String()
	if *authorities != "" {
		text, err := os.ReadFile(*authorities)
		if err != nil {
			return err
		}
		a.tls = &tls.Config{RootCAs: x509.NewCertPool()}
		if !a.tls.RootCAs.AppendCertsFromPEM(text) {
			return errors.New("no certificate in " + *authorities)
		}
	}
	a.delayMax = 12 * a.delay
	a.run()
	return nil
}

// run connects again after each loss: pauses double up to the maximum, and
// start over after a connection that lived for as long as that.
func (a *agent) run() {
	delay := a.delay
	for {
		start := time.Now()
		err := a.session()
		logf("session ended: %v", err)
		if time.Since(start) >= a.delayMax {
			delay = a.delay
		}
		time.Sleep(delay)
		if delay *= 2; delay > a.delayMax {
			delay = a.delayMax
		}
	}
}

func (a *agent) session() error {
	dialer := websocket.Dialer{
		HandshakeTimeout: 10 * time.Second,
		TLSClientConfig:  a.tls,
	}
	if a.faults.shape.frag > 0 {
		dialer.WriteBufferSize = a.faults.shape.frag
	}
	ws, answer, err := dialer.Dial(a.url, http.Header{
		"Authorization":     {"Bearer " + a.key},
		"X-Orthrus-Version": {"1.0.0"},
		"X-Orthrus-Name":    {a.id},
	})
	if err != nil {
		if answer != nil {
			return fmt.Errorf("%w: %s", err, answer.Status)
		}
		return err
	}
	if a.faults.noPong {
		ws.SetPingHandler(func(string) error { return nil })
	}
	config := yamux.DefaultConfig()
	config.LogOutput = io.Discard
	pipe := newPipe(ws, a.faults.shape)
	mux, err := yamux.Client(a.faults.wrap(pipe, ws.NetConn()), config)
	if err != nil {
		_ = ws.Close()
		return err
	}
	defer mux.Close()
	logf("connected")
	go a.beat(mux)
	return a.accept(mux)
}

func (a *agent) accept(mux *yamux.Session) error {
	for {
		if a.faults.noAccept {
			<-mux.CloseChan()
			return errors.New("session closed")
		}
		// A late ACK delays each accept, and so each stream behind it.
		select {
		case <-time.After(a.faults.lateAck):
		case <-mux.CloseChan():
		}
		stream, err := mux.AcceptStream()
		if err != nil {
			return err
		}
		go a.serve(stream)
	}
}

// beat pings on its own beside the multiplexer's keep-alive; three misses in
// a row end the session.
func (a *agent) beat(mux *yamux.Session) {
	misses := 0
	for {
		select {
		case <-mux.CloseChan():
			return
		case <-time.After(a.heartbeat):
		}
		if _, err := mux.Ping(); err == nil {
			misses = 0
		} else if misses++; misses == 3 {
			_ = mux.Close()
			return
		}
	}
}

func (a *agent) serve(stream *yamux.Stream) {
	defer stream.Close()
	preface := make([]byte, 1)
	if _, err := io.ReadFull(stream, preface); err != nil {
		return
	}
	switch {
	case preface[0] == prefaceDocker && a.raw:
		a.bridge(stream)
	case preface[0] == prefaceDocker:
		if err := serveOne(a.socket, stream); err != nil {
			logf("stream %d: %v", stream.StreamID(), err)
		}
	case preface[0] == prefaceForward:
		forward(stream)
	default:
		logf("unknown stream type 0x%02x, closing", preface[0])
	}
}

// bridge joins a stream and the Docker socket: each direction ends on its own.
func (a *agent) bridge(stream *yamux.Stream) {
	conn, err := net.Dial("unix", a.socket)
	if err != nil {
		logf("docker: %v", err)
		return
	}
	defer conn.Close()
	joinHalves(stream, conn.(*net.UnixConn))
}

// A half can end its own sending direction; what comes in goes on.
type half interface {
	io.ReadWriter
	CloseWrite() error
}

// joinHalves copies both ways until both directions have ended.
func joinHalves(stream *yamux.Stream, conn half) {
	var both sync.WaitGroup
	both.Add(2)
	go func() {
		defer both.Done()
		_, _ = io.Copy(conn, stream)
		_ = conn.CloseWrite()
	}()
	go func() {
		defer both.Done()
		_, _ = io.Copy(stream, conn)
		_ = stream.Close()
	}()
	both.Wait()
}

// forward serves a stream of type 0x02: two bytes of length, a host:port,
// then raw bytes until either side ends.
func forward(stream *yamux.Stream) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(stream, head); err != nil {
		return
	}
	size := int(head[0])<<8 | int(head[1])
	if size == 0 || size > 255 {
		return
	}
	address := make([]byte, size)
	if _, err := io.ReadFull(stream, address); err != nil {
		return
	}
	conn, err := net.Dial("tcp", string(address))
	if err != nil {
		return
	}
	defer conn.Close()
	ended := make(chan struct{}, 2)
	go func() { _, _ = io.Copy(conn, stream); ended <- struct{}{} }()
	go func() { _, _ = io.Copy(stream, conn); ended <- struct{}{} }()
	<-ended
}

func logf(format string, args ...interface{}) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05.000 ")+format+"\n",
		args...)
}
