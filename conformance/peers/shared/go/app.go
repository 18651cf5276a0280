package peer

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
)

// note is what the application saw of one labelled stream.
type note struct {
	bytes int64
	end   string
}

var (
	notesLock sync.Mutex
	notes     = map[string]note{}
)

func setNote(label string, bytes int64, end string) {
	notesLock.Lock()
	defer notesLock.Unlock()
	if label != "" && label != "-" {
		notes[label] = note{bytes, end}
	}
}

// patternReader gives count bytes of the pattern: byte i is i mod 251.
type patternReader struct{ at, count int64 }

func (p *patternReader) Read(b []byte) (int, error) {
	if p.at >= p.count {
		return 0, io.EOF
	}
	n := 0
	for n < len(b) && p.at < p.count {
		b[n] = byte(p.at % 251)
		n++
		p.at++
	}
	return n, nil
}

// plain hides WriteTo and ReadFrom, so that copies go through a buffer.
type plain struct{ io.Writer }

func writePattern(stream io.Writer, count int64) error {
	size := int64(1 << 20)
	if count < size {
		size = count + 1 // a buffer of nothing panics
	}
	_, err := io.CopyBuffer(plain{stream}, &patternReader{count: count}, make([]byte, size))
	return err
}

func run(session Session, stream Stream, mode string) {
	reader := bufio.NewReaderSize(stream, 128)
	switch mode {
	case "app", "opener":
		line, err := reader.ReadString('\n')
		if err != nil {
			stream.CloseWrite()
			return
		}
		command(session, stream, reader, strings.Fields(line))
	default:
		behave(session, stream, stream, mode)
	}
}

func behave(session Session, stream Stream, reader io.Reader, mode string) {
	switch mode {
	case "echo":
		io.CopyBuffer(plain{stream}, reader, make([]byte, 32768))
		stream.CloseWrite()
	case "sink":
		io.Copy(plain{io.Discard}, reader)
		stream.CloseWrite()
	case "source":
		go io.Copy(plain{io.Discard}, reader)
		writePattern(stream, 1<<62)
		stream.CloseWrite()
	case "hold":
		<-session.CloseChan()
	}
}

// watch reads to the end and notes how that came.
func watch(stream Stream, reader io.Reader, label string, wait time.Duration) {
	setNote(label, 0, "open")
	time.Sleep(wait)
	bytes, err := io.Copy(plain{io.Discard}, reader)
	setNote(label, bytes, ending(stream, err))
	stream.CloseWrite()
}

// ending is the word for how a copy came to its end.
func ending(stream Stream, err error) string {
	if err == nil {
		return "eof"
	} else if stream.IsReset(err) {
		return "reset"
	}
	return "error"
}

func unsupported(stream Stream) {
	io.WriteString(stream, "unsupported\n")
	stream.CloseWrite()
}

func number(words []string, at int) int64 {
	if at >= len(words) {
		return 0
	}
	value, _ := strconv.ParseInt(words[at], 10, 64)
	return value
}

func word(words []string, at int) string {
	if at >= len(words) {
		return "-"
	}
	return words[at]
}

func command(session Session, stream Stream, reader *bufio.Reader, words []string) {
	switch word(words, 0) {
	case "echo", "sink", "hold", "source":
		behave(session, stream, reader, words[0])
	case "open":
		open(session, stream, reader, words)
	case "watch":
		watch(stream, reader, word(words, 1), time.Duration(number(words, 2))*time.Millisecond)
	case "report":
		notesLock.Lock()
		found, known := notes[word(words, 1)]
		notesLock.Unlock()
		if !known {
			found.end = "unknown"
		}
		fmt.Fprintf(stream, "%d %s\n", found.bytes, found.end)
		stream.CloseWrite()
	case "write":
		writePattern(stream, number(words, 1))
		stream.CloseWrite()
		io.Copy(plain{io.Discard}, reader)
	case "finish":
		stream.CloseWrite()
		watch(stream, reader, word(words, 1), 0)
	case "close":
		stream.Close()
	case "reset":
		if able, can := stream.(resetter); can {
			able.Reset()
		} else {
			unsupported(stream)
		}
	case "drain":
		if able, can := session.(drainer); can {
			able.GoAway()
			io.WriteString(stream, "draining\n")
			behave(session, stream, reader, "echo")
		} else {
			unsupported(stream)
		}
	case "shutdown":
		if len(words) > 1 {
			go writePattern(stream, number(words, 1))
			time.Sleep(200 * time.Millisecond)
		} else {
			stream.CloseWrite()
			io.Copy(plain{io.Discard}, reader)
		}
		session.Close()
	default:
		unsupported(stream)
	}
}

func open(session Session, stream Stream, reader io.Reader, words []string) {
	if _, can := stream.(resetter); !can && word(words, 3) == "reset" {
		unsupported(stream)
		return
	}
	count, bytes, then, label := number(words, 1), number(words, 2), word(words, 3), word(words, 4)
	setNote(label, 0, "open")
	for i := int64(0); i < count; i++ {
		opened, err := session.Open()
		if err != nil {
			fmt.Fprintf(stream, "failed %s\n", strings.ReplaceAll(err.Error(), "\n", " "))
			stream.CloseWrite()
			return
		}
		go serveOpened(opened, bytes, then, label)
		label = "-"
	}
	fmt.Fprintf(stream, "opened %d\n", count)
	io.Copy(plain{io.Discard}, reader)
	stream.CloseWrite()
}

func serveOpened(stream Stream, bytes int64, then, label string) {
	if then == "reset" {
		writePattern(stream, bytes)
		stream.(resetter).Reset()
		return
	}
	defer stream.CloseWrite()
	setNote(label, 0, "open")
	err := writePattern(stream, bytes)
	copied := int64(0)
	if err == nil && then == "watch" {
		watch(stream, stream, label, 0)
		return
	} else if err == nil {
		copied, err = io.CopyBuffer(plain{stream}, stream, make([]byte, 32768))
	}
	setNote(label, copied, ending(stream, err))
}
