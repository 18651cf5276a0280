package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"time"
)

// A remote is one entry of the list of remote servers.
type remote struct {
	UUID           string `json:"uuid"`
	Name           string `json:"name"`
	Host           string `json:"host"`
	Port           int    `json:"port"`
	ConnectionType string `json:"connection_type"`
	AgentUUID      string `json:"orthrus_agent_uuid"`
}

func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(connectPath, s.connect)
	mux.HandleFunc("/api/v1/orthrus/agents", s.agentList)
	mux.HandleFunc("/api/v1/orthrus/agents/", s.agentOne)
	mux.HandleFunc("/api/v1/remote-servers", s.remoteList)
	mux.HandleFunc("/api/v1/docker/containers", s.containers)
	return mux
}

func reply(w http.ResponseWriter, status int, value interface{}) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

func replyError(w http.ResponseWriter, status int, text string) {
	reply(w, status, map[string]string{"error": text})
}

// view is an agent as the API shows it; the caller holds the lock.
func (s *server) view(agent *record) map[string]string {
	status, proxy := "offline", ""
	if one := s.sessions[agent.UUID]; one != nil {
		status = "online"
		if one.listener != nil {
			proxy = one.listener.Addr().String()
		}
	}
	return map[string]string{"uuid": agent.UUID, "name": agent.Name,
		"status": status, "proxy_address": proxy}
}

func (s *server) agentList(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		var body struct {
			Name string `json:"name"`
		}
		err := json.NewDecoder(r.Body).Decode(&body)
		if err != nil || body.Name == "" {
			replyError(w, http.StatusBadRequest, "name is required")
			return
		}
		key := "ch_orthrus_" + random(32)
		agent := s.provision(body.Name, key)
		s.mu.Lock()
		defer s.mu.Unlock()
		reply(w, http.StatusCreated, map[string]interface{}{
			"agent": s.view(agent), "auth_key": key})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []map[string]string{}
	for _, agent := range s.agents {
		list = append(list, s.view(agent))
	}
	reply(w, http.StatusOK, list)
}

func (s *server) agentOne(w http.ResponseWriter, r *http.Request) {
	uuid, action, _ := strings.Cut(
		strings.TrimPrefix(r.URL.Path, "/api/v1/orthrus/agents/"), "/")
	s.mu.Lock()
	agent := s.agents[uuid]
	s.mu.Unlock()
	switch {
	case r.Method == http.MethodDelete && action == "":
		s.mu.Lock()
		delete(s.agents, uuid)
		s.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPost && action == "revoke":
		if agent != nil {
			s.mu.Lock()
			agent.key = ""
			s.mu.Unlock()
			s.disconnect(uuid)
		}
		reply(w, http.StatusOK, map[string]string{"message": "revoked"})
	case agent == nil || action != "":
		replyError(w, http.StatusNotFound, "agent not found")
	default:
		s.mu.Lock()
		defer s.mu.Unlock()
		reply(w, http.StatusOK, s.view(agent))
	}
}

func (s *server) remoteList(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method != http.MethodPost {
		list := []*remote{}
		for _, entry := range s.remotes {
			list = append(list, entry)
		}
		reply(w, http.StatusOK, list)
		return
	}
	entry := &remote{UUID: newUUID(), ConnectionType: "direct"}
	if err := json.NewDecoder(r.Body).Decode(entry); err != nil {
		replyError(w, http.StatusBadRequest, err.Error())
		return
	}
	s.remotes[entry.UUID] = entry
	reply(w, http.StatusCreated, entry)
}

// containers answers in the order of checks that the existing system has.
func (s *server) containers(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	host := strings.TrimSpace(query.Get("host"))
	if host != "" && host != "local" {
		replyError(w, http.StatusBadRequest, "Invalid docker host selector")
		return
	}
	s.mu.Lock()
	entry := s.remotes[query.Get("server_id")]
	address := ""
	if entry != nil && s.sessions[entry.AgentUUID] != nil {
		address = s.sessions[entry.AgentUUID].listener.Addr().String()
	}
	s.mu.Unlock()
	switch {
	case entry == nil:
		replyError(w, http.StatusNotFound, "Remote server not found")
	case entry.AgentUUID == "":
		replyError(w, http.StatusBadRequest,
			"Remote server has no Orthrus agent UUID configured")
	case address == "":
		replyError(w, http.StatusBadGateway,
			"Orthrus agent is not currently connected")
	default:
		listContainers(w, address)
	}
}

type container struct {
	ID     string `json:"Id"`
	Names  []string
	Image  string
	State  string
	Status string
}

func listContainers(w http.ResponseWriter, address string) {
	client := http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn,
				error) {
				var dialer net.Dialer
				return dialer.DialContext(ctx, "tcp", address)
			},
		},
	}
	answer, err := client.Get("http://docker/containers/json")
	if err != nil {
		replyError(w, http.StatusServiceUnavailable,
			"Docker daemon unavailable")
		return
	}
	defer answer.Body.Close()
	var found []container
	if err := json.NewDecoder(answer.Body).Decode(&found); err != nil {
		replyError(w, http.StatusInternalServerError,
			"Failed to list containers")
		return
	}
	list := []map[string]interface{}{}
	for _, c := range found {
		for i := range c.Names {
			c.Names[i] = strings.TrimPrefix(c.Names[i], "/")
		}
		list = append(list, map[string]interface{}{
			"id": c.ID[:12], "names": c.Names, "image": c.Image,
			"state": c.State, "status": c.Status})
	}
	reply(w, http.StatusOK, list)
}
