package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A trigger is a moment: at once, after a time, after so many bytes of a
// session in both directions, or at SIGUSR1. It comes once in a process, so
// that the session after a fault is a healthy one.
type trigger struct {
	spec  string
	bytes int64
	after time.Duration
	usr1  bool
	span  time.Duration // how long it lasts, 0: for ever
	seen  atomic.Int64
	once  sync.Once
	over  atomic.Bool
	fired chan struct{}
}

func (t *trigger) String() string { return t.spec }

// Set parses now | after:5s | bytes:N | usr1, each with an optional ,for:5s.
func (t *trigger) Set(spec string) error {
	t.spec, t.bytes = spec, -1
	t.fired = make(chan struct{})
	for _, part := range strings.Split(spec, ",") {
		key, value, _ := strings.Cut(part, ":")
		var err error
		switch key {
		case "now":
			t.bytes = 0
		case "bytes":
			t.bytes, err = strconv.ParseInt(value, 10, 64)
		case "after":
			t.after, err = time.ParseDuration(value)
		case "for":
			t.span, err = time.ParseDuration(value)
		case "usr1":
			t.usr1 = true
		default:
			err = fmt.Errorf("%q is not now, bytes:N, after:D, usr1 or for:D",
				part)
		}
		if err != nil {
			return err
		}
	}
	if t.usr1 {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGUSR1)
		go func() { <-signals; t.fire() }()
	}
	return nil
}

func (t *trigger) set() bool { return t.fired != nil }

func (t *trigger) fire() {
	t.once.Do(func() {
		fmt.Fprintf(os.Stderr, "fault: %s\n", t.spec)
		close(t.fired)
	})
}

// came says whether it has come, in this session or before.
func (t *trigger) came() bool {
	select {
	case <-t.fired:
		return true
	default:
		return false
	}
}

// begin starts the clock of a new session.
func (t *trigger) begin() {
	if t.set() && t.after > 0 {
		time.AfterFunc(t.after, t.fire)
	}
}

func (t *trigger) count(n int) {
	if t.set() && t.bytes >= 0 && t.seen.Add(int64(n)) >= t.bytes {
		t.fire()
	}
}

// faults are the ways in which a peer can be made to misbehave.
type faults struct {
	shape     shape
	halfOpen  trigger
	stall     trigger
	abort     trigger
	hangUp    trigger
	noAccept  bool
	lateAck   time.Duration
	noPong    bool
	rstStream int64
}

func (f *faults) register(set *flag.FlagSet) {
	set.Var(&f.halfOpen, "half-open",
		"`WHEN` to stop reading and writing without closing")
	set.Var(&f.stall, "stall", "`WHEN` to stop reading the WebSocket")
	set.Var(&f.abort, "abort", "`WHEN` to reset the TCP connection")
	set.Var(&f.hangUp, "hang-up", "`WHEN` to close the TCP connection")
	set.BoolVar(&f.noAccept, "no-ack", false, "never accept a stream")
	set.DurationVar(&f.lateAck, "late-ack", 0,
		"time to wait before each stream is accepted")
	set.BoolVar(&f.noPong, "no-pong", false,
		"answer neither yamux nor WebSocket pings")
	set.Int64Var(&f.rstStream, "rst-stream", 0,
		"reset each stream that has sent so many `BYTES`")
	set.BoolVar(&f.shape.text, "text", false, "send text frames")
	set.IntVar(&f.shape.tiny, "tiny", 0, "`BYTES` a WebSocket message")
	set.IntVar(&f.shape.frag, "fragment", 0, "`BYTES` a WebSocket fragment")
	set.BoolVar(&f.shape.ping, "fragment-ping", false,
		"send a ping after each fragment")
}

// wrap puts the faults between the multiplexer and its pipe. tcp is the
// connection that abort and hangUp end.
func (f *faults) wrap(pipe io.ReadWriteCloser, tcp net.Conn) io.ReadWriteCloser {
	c := &faultConn{
		pipe: pipe, tcp: tcp, faults: f,
		closed: make(chan struct{}), mine: map[*trigger]bool{},
		dead: map[uint32]bool{}, sent: map[uint32]int64{},
	}
	for _, t := range f.triggers() {
		c.mine[t] = t.set() && !t.came()
		t.begin()
		t.count(0)
	}
	go c.watch(&f.abort, true)
	go c.watch(&f.hangUp, false)
	return c
}

func (f *faults) triggers() []*trigger {
	return []*trigger{&f.halfOpen, &f.stall, &f.abort, &f.hangUp}
}

// A faultConn is the pipe of one session, with faults.
type faultConn struct {
	pipe   io.ReadWriteCloser
	tcp    net.Conn
	faults *faults
	once   sync.Once
	closed chan struct{}
	mine   map[*trigger]bool // may strike this session: had not come before

	// What the multiplexer writes: a header of 12 bytes, then its body.
	body int // bytes of the present body still to come
	drop bool
	dead map[uint32]bool
	sent map[uint32]int64
}

func (c *faultConn) watch(t *trigger, reset bool) {
	if !c.mine[t] {
		return
	}
	select {
	case <-c.closed:
		return
	case <-t.fired:
	}
	if tcp, ok := c.tcp.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = c.tcp.Close()
}

// strikes says whether a fault is upon this session.
func (c *faultConn) strikes(t *trigger) bool {
	return c.mine[t] && !t.over.Load() && t.came()
}

func (c *faultConn) count(n int) {
	for _, t := range c.faults.triggers() {
		t.count(n)
	}
}

func (c *faultConn) Read(b []byte) (int, error) {
	n, err := c.pipe.Read(b)
	c.count(n)
	if c.strikes(&c.faults.halfOpen) {
		<-c.closed
		return 0, io.ErrClosedPipe
	}
	if c.strikes(&c.faults.stall) {
		c.rest(c.faults.stall.span)
	}
	return n, err
}

// rest waits out a stall, which does not come again.
func (c *faultConn) rest(span time.Duration) {
	var over <-chan time.Time
	if span > 0 {
		over = time.After(span)
	}
	select {
	case <-over:
		c.faults.stall.over.Store(true)
	case <-c.closed:
	}
}

func (c *faultConn) Write(b []byte) (int, error) {
	c.count(len(b))
	if c.strikes(&c.faults.halfOpen) {
		return len(b), nil
	}
	if c.body > 0 {
		c.body -= len(b)
		if c.drop {
			return len(b), nil
		}
		return c.pipe.Write(b)
	}
	if len(b) != headerSize {
		return 0, fmt.Errorf("a write of %d bytes is not a yamux header", len(b))
	}
	return c.writeHeader(b)
}

const (
	headerSize = 12
	typeData   = 0
	typeWindow = 1
	typePing   = 2
	flagACK    = 2
	flagRST    = 8
)

func (c *faultConn) writeHeader(b []byte) (int, error) {
	kind, flags := b[1], binary.BigEndian.Uint16(b[2:])
	id, length := binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	if kind == typeData {
		c.body = int(length)
	}
	c.drop = c.dead[id] && id != 0
	if c.drop || (c.faults.noPong && kind == typePing && flags&flagACK != 0) {
		return len(b), nil
	}
	if limit := c.faults.rstStream; limit > 0 && kind == typeData {
		c.sent[id] += int64(length)
		if c.sent[id] > limit {
			c.dead[id], c.drop = true, true
			return c.pipe.Write([]byte{0, typeWindow, 0, flagRST,
				b[4], b[5], b[6], b[7], 0, 0, 0, 0})
		}
	}
	return c.pipe.Write(b)
}

func (c *faultConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.pipe.Close()
}
