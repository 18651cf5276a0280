// Command orthrus-peer plays the other end of Orthrus in tests and benchmarks:
// the agent and the server as they exist in the field, on the multiplexer and
// the WebSocket library that those are built on, and with faults on demand.
package main

import (
	"fmt"
	"os"
)

const usage = `usage: orthrus-peer COMMAND [FLAGS]

  agent      the agent in the field: filters, one request a stream
  raw-agent  bridges every stream to the Docker socket, both ways
  server     the reference server
  routes     what net/http and a Docker Engine's router make of requests

"orthrus-peer COMMAND -h" lists the flags.
`

func main() {
	commands := map[string]func([]string) error{
		"agent":     func(args []string) error { return runAgent(args, false) },
		"raw-agent": func(args []string) error { return runAgent(args, true) },
		"server":    runServer,
		"routes":    runRoutes,
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "orthrus-peer %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}
