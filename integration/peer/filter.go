package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"regexp"
	"strings"
)

// The read-only policy of the agents in the field.
var (
	versionPrefix = regexp.MustCompile(`^/v\d+\.\d+`)
	exactPaths    = map[string]bool{
		"/_ping": true, "/containers/json": true, "/images/json": true,
		"/info": true, "/version": true, "/events": true, "/volumes": true,
		"/networks": true, "/system/df": true,
	}
	segmentPaths = []string{
		"/containers/*/json", "/containers/*/logs", "/containers/*/stats",
		"/containers/*/top", "/volumes/*", "/networks/*",
	}
	imagePaths = []string{"/images/", "/distribution/"}
)

// normalise takes the version off first and cleans afterwards, so that dots
// before a version do not make one.
func normalise(target string) string {
	rest := versionPrefix.ReplaceAllString(target, "")
	return path.Clean("/" + strings.TrimLeft(rest, "/"))
}

func allowed(method, target string) bool {
	clean := normalise(target)
	if strings.EqualFold(method, http.MethodHead) {
		return clean == "/_ping"
	}
	if !strings.EqualFold(method, http.MethodGet) {
		return false
	}
	if exactPaths[clean] {
		return true
	}
	for _, pattern := range segmentPaths {
		if match, err := path.Match(pattern, clean); err == nil && match {
			return true
		}
	}
	for _, prefix := range imagePaths {
		if strings.HasPrefix(clean, prefix) && strings.HasSuffix(clean, "/json") {
			return true
		}
	}
	return false
}

const forbidden = "HTTP/1.1 403 Forbidden\r\n" +
	"Content-Length: 0\r\nConnection: close\r\n\r\n"

// serveOne answers exactly one request of a stream: after it the stream is
// not read any more, so nothing can be sent to a hijacked connection.
func serveOne(socket string, stream io.ReadWriter) error {
	request, err := http.ReadRequest(bufio.NewReader(stream))
	if err != nil {
		return err
	}
	if !allowed(request.Method, request.URL.Path) {
		_, _ = io.WriteString(stream, forbidden)
		return fmt.Errorf("blocked %s %s", request.Method, request.URL.Path)
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	request.Close = true
	if err := request.Write(conn); err != nil {
		return err
	}
	_, err = io.Copy(stream, conn)
	return err
}
