// engine: two sessions of hashicorp/yamux over a pipe of memory, as `work pair`
// does it: STREAMS streams of the client write 64 KiB at a time, MIB in all;
// the server reads. Prints one line of JSON.
package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"

	"github.com/hashicorp/yamux"
)

const (
	write = 65536
	room  = 262144
)

// half is one direction of the pipe: a ring of bytes.
type half struct {
	mutex    sync.Mutex
	changed  sync.Cond
	bytes    [room]byte
	at, held int
	closed   bool
}

func newHalf() *half {
	h := &half{}
	h.changed.L = &h.mutex
	return h
}

func (h *half) Write(p []byte) (int, error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	for done := 0; done < len(p); {
		for h.held == room && !h.closed {
			h.changed.Wait()
		}
		if h.closed {
			return done, io.ErrClosedPipe
		}
		end := (h.at + h.held) % room
		limit := room
		if end < h.at {
			limit = h.at
		}
		n := copy(h.bytes[end:limit], p[done:])
		h.held += n
		done += n
		h.changed.Broadcast()
	}
	return len(p), nil
}

func (h *half) Read(p []byte) (int, error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	for h.held == 0 {
		if h.closed {
			return 0, io.EOF
		}
		h.changed.Wait()
	}
	limit := h.at + h.held
	if limit > room {
		limit = room
	}
	n := copy(p, h.bytes[h.at:limit])
	h.at = (h.at + n) % room
	h.held -= n
	h.changed.Broadcast()
	return n, nil
}

func (h *half) Close() error {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.closed = true
	h.changed.Broadcast()
	return nil
}

type end struct {
	io.Reader
	io.Writer
	in, out *half
}

func (e end) Close() error {
	e.in.Close()
	return e.out.Close()
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "engine:", err)
		os.Exit(1)
	}
}

func cpu() float64 {
	var used syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: engine STREAMS MIB")
		os.Exit(2)
	}
	streams, _ := strconv.Atoi(os.Args[1])
	mib, _ := strconv.Atoi(os.Args[2])
	up, down := newHalf(), newHalf()
	config := yamux.DefaultConfig()
	config.LogOutput = io.Discard
	client, err := yamux.Client(end{down, up, down, up}, config)
	must(err)
	server, err := yamux.Server(end{up, down, up, down}, config)
	must(err)

	var writers, readers []*yamux.Stream
	for i := 0; i < streams; i++ {
		w, err := client.OpenStream()
		must(err)
		r, err := server.AcceptStream()
		must(err)
		writers, readers = append(writers, w), append(readers, r)
	}
	each := mib << 20 / streams / write * write

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begun := cpu()
	var all sync.WaitGroup
	for i := range writers {
		all.Add(2)
		go func(w *yamux.Stream) {
			defer all.Done()
			text := make([]byte, write)
			for sent := 0; sent < each; sent += write {
				_, err := w.Write(text)
				must(err)
			}
		}(writers[i])
		go func(r *yamux.Stream) {
			defer all.Done()
			text := make([]byte, write)
			for got := 0; got < each; {
				n, err := r.Read(text)
				must(err)
				got += n
			}
		}(readers[i])
	}
	all.Wait()
	spent := cpu() - begun
	runtime.ReadMemStats(&after)
	fmt.Printf("{\"work\": \"pair\", \"size\": %d, \"count\": %d, \"bytes\": %d, \"cpu_s\": %.6f, \"allocations\": %d}\n",
		streams, mib, each*streams, spent, after.Mallocs-before.Mallocs)
}
