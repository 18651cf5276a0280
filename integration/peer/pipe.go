package main

import (
	"io"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// A wsPipe makes a byte stream of a WebSocket. Messages have no meaning, only
// their payloads joined together; text counts like binary.
type wsPipe struct {
	ws      *websocket.Conn
	kind    int
	shape   shape
	readMu  sync.Mutex
	writeMu sync.Mutex
	message io.Reader
}

// A shape says how a write becomes WebSocket messages. The zero value writes
// one message a call, as the programs in the field do.
type shape struct {
	text bool
	tiny int  // bytes a message, 0: no limit
	ping bool // a ping after each fragment
	frag int  // bytes a fragment, 0: as the library does
}

func newPipe(ws *websocket.Conn, s shape) *wsPipe {
	p := &wsPipe{ws: ws, kind: websocket.BinaryMessage, shape: s}
	if s.text {
		p.kind = websocket.TextMessage
	}
	return p
}

func (p *wsPipe) Read(b []byte) (int, error) {
	p.readMu.Lock()
	defer p.readMu.Unlock()
	for {
		if p.message == nil {
			_, message, err := p.ws.NextReader()
			if err != nil {
				return 0, err
			}
			p.message = message
		}
		n, err := p.message.Read(b)
		if err == io.EOF {
			p.message, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (p *wsPipe) Write(b []byte) (int, error) {
	p.writeMu.Lock()
	defer p.writeMu.Unlock()
	step := len(b)
	if p.shape.tiny > 0 && p.shape.tiny < step {
		step = p.shape.tiny
	}
	for at := 0; at < len(b); at += step {
		end := at + step
		if end > len(b) {
			end = len(b)
		}
		if err := p.writeMessage(b[at:end]); err != nil {
			return at, err
		}
	}
	return len(b), nil
}

func (p *wsPipe) writeMessage(b []byte) error {
	if p.shape.frag == 0 {
		return p.ws.WriteMessage(p.kind, b)
	}
	// The library ends a fragment when its write buffer is full, and the
	// dialler made that as large as one fragment.
	w, err := p.ws.NextWriter(p.kind)
	if err != nil {
		return err
	}
	for len(b) > 0 {
		n := p.shape.frag
		if n > len(b) {
			n = len(b)
		}
		if _, err := w.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
		if p.shape.ping {
			deadline := time.Now().Add(time.Second)
			if err := p.ws.WriteControl(websocket.PingMessage,
				[]byte("between"), deadline); err != nil {
				return err
			}
		}
	}
	return w.Close()
}

func (p *wsPipe) Close() error { return p.ws.Close() }
