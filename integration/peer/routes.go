package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/gorilla/mux"
)

// The routes of a Docker Engine (20.10, api/server/router), in the order in
// which it registers them.
const engineRoutes = `
GET /containers/{name:.*}/checkpoints
POST /containers/{name:.*}/checkpoints
DELETE /containers/{name}/checkpoints/{checkpoint}
HEAD /containers/{name:.*}/archive
GET /containers/json
GET /containers/{name:.*}/export
GET /containers/{name:.*}/changes
GET /containers/{name:.*}/json
GET /containers/{name:.*}/top
GET /containers/{name:.*}/logs
GET /containers/{name:.*}/stats
GET /containers/{name:.*}/attach/ws
GET /exec/{id:.*}/json
GET /containers/{name:.*}/archive
POST /containers/create
POST /containers/{name:.*}/kill
POST /containers/{name:.*}/pause
POST /containers/{name:.*}/unpause
POST /containers/{name:.*}/restart
POST /containers/{name:.*}/start
POST /containers/{name:.*}/stop
POST /containers/{name:.*}/wait
POST /containers/{name:.*}/resize
POST /containers/{name:.*}/attach
POST /containers/{name:.*}/copy
POST /containers/{name:.*}/exec
POST /exec/{name:.*}/start
POST /exec/{name:.*}/resize
POST /containers/{name:.*}/rename
POST /containers/{name:.*}/update
POST /containers/prune
POST /commit
PUT /containers/{name:.*}/archive
DELETE /containers/{name:.*}
GET /images/json
GET /images/search
GET /images/get
GET /images/{name:.*}/get
GET /images/{name:.*}/history
GET /images/{name:.*}/json
POST /images/load
POST /images/create
POST /images/{name:.*}/push
POST /images/{name:.*}/tag
POST /images/prune
DELETE /images/{name:.*}
OPTIONS /{anyroute:.*}
GET /_ping
HEAD /_ping
GET /events
GET /info
GET /version
GET /system/df
POST /auth
GET /volumes
GET /volumes/{name:.*}
POST /volumes/create
POST /volumes/prune
DELETE /volumes/{name:.*}
POST /build
POST /build/prune
POST /build/cancel
POST /session
POST /swarm/init
POST /swarm/join
POST /swarm/leave
GET /swarm
GET /swarm/unlockkey
POST /swarm/update
POST /swarm/unlock
GET /services
GET /services/{id}
POST /services/create
POST /services/{id}/update
DELETE /services/{id}
GET /services/{id}/logs
GET /nodes
GET /nodes/{id}
DELETE /nodes/{id}
POST /nodes/{id}/update
GET /tasks
GET /tasks/{id}
GET /tasks/{id}/logs
GET /secrets
POST /secrets/create
DELETE /secrets/{id}
GET /secrets/{id}
POST /secrets/{id}/update
GET /configs
POST /configs/create
DELETE /configs/{id}
GET /configs/{id}
POST /configs/{id}/update
GET /plugins
GET /plugins/{name:.*}/json
GET /plugins/privileges
DELETE /plugins/{name:.*}
POST /plugins/{name:.*}/enable
POST /plugins/{name:.*}/disable
POST /plugins/pull
POST /plugins/{name:.*}/push
POST /plugins/{name:.*}/upgrade
POST /plugins/{name:.*}/set
POST /plugins/create
GET /distribution/{name:.*}/json
GET /networks
GET /networks/
GET /networks/{id:.+}
POST /networks/create
POST /networks/{id:.*}/connect
POST /networks/{id:.*}/disconnect
POST /networks/prune
DELETE /networks/{id:.*}
POST /grpc
`

// A routing is what an engine makes of the bytes of one request.
type routing struct {
	Error  string `json:"error,omitempty"`  // net/http does not take them
	Status int    `json:"status,omitempty"` // 200: a route; 301: not clean; 404, 405
	Route  string `json:"route,omitempty"`
	Path   string `json:"path,omitempty"`
	Body   bool   `json:"body"` // a body follows, or may
	Rest   int    `json:"rest"` // bytes behind the head and the body
}

// newEngineRouter gives the engine's router, made as the engine makes it; what
// a request hits is written to *hit.
func newEngineRouter(hit *string) *mux.Router {
	router := mux.NewRouter()
	for _, line := range strings.Split(strings.TrimSpace(engineRoutes), "\n") {
		words := strings.Fields(line)
		name := line
		handler := func(http.ResponseWriter, *http.Request) { *hit = name }
		router.Path("/v{version:[0-9.]+}" + words[1]).Methods(words[0]).HandlerFunc(handler)
		router.Path(words[1]).Methods(words[0]).HandlerFunc(handler)
	}
	return router
}

func route(router *mux.Router, hit *string, head []byte) routing {
	*hit = ""
	reader := bufio.NewReaderSize(bytes.NewReader(head), len(head)+16)
	request, err := http.ReadRequest(reader)
	if err != nil {
		return routing{Error: err.Error()}
	}
	body := request.ContentLength != 0 || len(request.TransferEncoding) > 0
	_, _ = io.Copy(io.Discard, request.Body)
	answer := httptest.NewRecorder()
	router.ServeHTTP(answer, request)
	return routing{Status: answer.Code, Route: *hit, Path: request.URL.Path,
		Body: body, Rest: reader.Buffered()}
}

// runRoutes reads requests, each behind its length in four bytes, and answers
// each with a line of JSON.
func runRoutes([]string) error {
	var hit string
	router := newEngineRouter(&hit)
	in := bufio.NewReader(os.Stdin)
	out := bufio.NewWriter(os.Stdout)
	encoder := json.NewEncoder(out)
	for {
		var length uint32
		if err := binary.Read(in, binary.BigEndian, &length); err != nil {
			if err == io.EOF {
				return out.Flush()
			}
			return err
		}
		head := make([]byte, length)
		if _, err := io.ReadFull(in, head); err != nil {
			return err
		}
		if err := encoder.Encode(route(router, &hit, head)); err != nil {
			return err
		}
	}
}
