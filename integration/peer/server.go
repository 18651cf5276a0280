package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/hashicorp/yamux"
)

// A server accepts agents as the server in the field does: one loopback
// listener a session, one stream a connection, copied with the library's own
// buffers. It is also what bench/ compares with, so nothing here is tuned.
type server struct {
	upgrader  websocket.Upgrader
	halfClose bool
	keepAlive time.Duration
	print     sync.Mutex

	mu       sync.Mutex
	agents   map[string]*record // by uuid
	keys     map[string]*record // by key, also of agents that are gone
	remotes  map[string]*remote // by uuid
	sessions map[string]*session
}

// A record is one provisioned agent.
type record struct {
	UUID string `json:"uuid"`
	Name string `json:"name"`
	key  string
}

// A session is one connected agent.
type session struct {
	uuid     string
	mux      *yamux.Session
	listener net.Listener
}

func runServer(args []string) error {
	set := flag.NewFlagSet("server", flag.ExitOnError)
	listen := set.String("listen", "127.0.0.1:0", "`ADDR:PORT`")
	keys := set.String("keys", "", "`FILE` of lines NAME KEY")
	key := set.String("key", "", "one `KEY`, of an agent named \"agent\"")
	buffer := set.Int("buffer", 0,
		"WebSocket buffer `BYTES`, 0: as the HTTP server has them")
	halfClose := set.Bool("half-close", false,
		"carry the end of one direction, which the original does not")
	keepAlive := set.Duration("keep-alive", 0,
		"between pings of a session, 0: as the library does, 30s")
	cert := set.String("tls-cert", "", "PEM `FILE`; the original has a proxy for TLS")
	certKey := set.String("tls-key", "", "PEM `FILE`")
	_ = set.Parse(args)

	s := &server{
		upgrader: websocket.Upgrader{
			ReadBufferSize: *buffer, WriteBufferSize: *buffer,
			CheckOrigin: func(*http.Request) bool { return true },
		},
		halfClose: *halfClose,
		keepAlive: *keepAlive,
		agents:    map[string]*record{},
		keys:      map[string]*record{},
		remotes:   map[string]*remote{},
		sessions:  map[string]*session{},
	}
	if *key != "" {
		s.provision("agent", *key)
	}
	if *keys != "" {
		if err := s.readKeys(*keys); err != nil {
			return err
		}
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	s.event(map[string]string{
		"event": "listening", "address": listener.Addr().String(),
	})
	if *cert != "" {
		return http.ServeTLS(listener, s.routes(), *cert, *certKey)
	}
	return http.Serve(listener, s.routes())
}

func (s *server) readKeys(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for number, line := range strings.Split(string(text), "\n") {
		if line == "" {
			continue
		}
		name, key, found := strings.Cut(line, " ")
		if !found {
			return fmt.Errorf("%s:%d: not NAME KEY", file, number+1)
		}
		s.provision(name, key)
	}
	return nil
}

// event prints one line of JSON.
func (s *server) event(fields map[string]string) {
	line, _ := json.Marshal(fields)
	s.print.Lock()
	defer s.print.Unlock()
	fmt.Println(string(line))
}

func random(bytes int) string {
	b := make([]byte, bytes)
	if _, err := rand.Read(b); err != nil {
		panic(err)
	}
	return hex.EncodeToString(b)
}

func newUUID() string {
	h := random(16)
	return strings.Join([]string{h[:8], h[8:12], "4" + h[13:16],
		"8" + h[17:20], h[20:]}, "-")
}

func (s *server) provision(name, key string) *record {
	r := &record{UUID: newUUID(), Name: name, key: key}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.agents[r.UUID] = r
	s.keys[key] = r
	return r
}

func (s *server) authenticate(r *http.Request) *record {
	token := r.Header.Get("Authorization")
	if !strings.HasPrefix(token, "Bearer ") || len(token) == 7 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	agent := s.keys[token[7:]]
	if agent == nil || agent.key == "" || s.agents[agent.UUID] != agent {
		return nil
	}
	return agent
}

func (s *server) connect(w http.ResponseWriter, r *http.Request) {
	agent := s.authenticate(r)
	if agent == nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	ws, err := s.upgrader.Upgrade(w, r,
		http.Header{"X-Orthrus-Write-Enabled": {"false"}})
	if err != nil {
		return
	}
	config := yamux.DefaultConfig()
	config.LogOutput = io.Discard
	if s.keepAlive > 0 {
		config.KeepAliveInterval = s.keepAlive
	}
	mux, err := yamux.Server(newPipe(ws, shape{}), config)
	if err != nil {
		_ = ws.Close()
		return
	}
	s.disconnect(agent.UUID)
	s.begin(agent, &session{uuid: agent.UUID, mux: mux})
}

func (s *server) begin(agent *record, one *session) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	proxy := ""
	if err != nil {
		logf("agent %s: %v", agent.UUID, err)
	} else {
		one.listener, proxy = listener, listener.Addr().String()
		go s.accept(one, listener)
	}
	s.mu.Lock()
	s.sessions[agent.UUID] = one
	s.mu.Unlock()
	s.event(map[string]string{"event": "connected", "agent": agent.UUID,
		"name": agent.Name, "proxy": proxy})
	go s.watch(one)
}

// watch looks for a dead session every ten seconds, as the original does.
func (s *server) watch(one *session) {
	for range time.Tick(10 * time.Second) {
		if one.mux.IsClosed() {
			break
		}
	}
	s.mu.Lock()
	if s.sessions[one.uuid] == one {
		delete(s.sessions, one.uuid)
	}
	s.mu.Unlock()
	one.close()
	s.event(map[string]string{"event": "disconnected", "agent": one.uuid})
}

func (one *session) close() {
	if one.listener != nil {
		_ = one.listener.Close()
	}
	_ = one.mux.Close()
}

func (s *server) disconnect(uuid string) {
	s.mu.Lock()
	old := s.sessions[uuid]
	delete(s.sessions, uuid)
	s.mu.Unlock()
	if old != nil {
		old.close()
	}
}

func (s *server) accept(one *session, listener net.Listener) {
	for failures := 0; failures < 5; {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			failures++
			time.Sleep(time.Duration(failures) * 100 * time.Millisecond)
			continue
		}
		failures = 0
		go s.carry(one, conn)
	}
}

// carry takes one TCP connection through one stream. An end of the stream
// closes the connection, whatever the reason: its client cannot tell a loss
// from a clean end, which is how the original is.
func (s *server) carry(one *session, conn net.Conn) {
	defer conn.Close()
	stream, err := one.mux.OpenStream()
	if err != nil {
		return
	}
	defer stream.Close()
	if _, err := stream.Write([]byte{prefaceDocker}); err != nil {
		return
	}
	if s.halfClose {
		joinHalves(stream, conn.(*net.TCPConn))
		return
	}
	go func() { _, _ = io.Copy(stream, conn) }()
	_, _ = io.Copy(conn, stream)
}
