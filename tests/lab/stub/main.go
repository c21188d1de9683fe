// stub is the program of the lab's stub image: it stands in for a component's containers. The name that it is called by, or its first
// argument, picks what it does; anything unknown serves.
//
//	pause                  hold a pod's namespaces and reap its orphans
//	cni                    write a CNI configuration for this node's pod network and keep routes to the other nodes (cni.go)
//	job                    print the arguments and exit 0
//	anything else (serve)  answer 200 to every HTTP request on the ports in STUB_PORTS (default 8080), until told to end
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	log.SetFlags(0)

	verb := filepath.Base(os.Args[0])
	if verb == "stub" && len(os.Args) > 1 {
		verb = os.Args[1]
	}

	switch verb {
	case "pause":
		pause()
	case "cni":
		if err := runCNI(); err != nil {
			log.Fatal("stub cni: ", err)
		}
	case "job":
		fmt.Println("stub job:", strings.Join(os.Args[1:], " "))
	default:
		serve(func() bool { return true })
	}
}

// pause waits for the end and reaps orphans meanwhile, as the first process of a pod must.
func pause() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)

	for received := range signals {
		if received != syscall.SIGCHLD {
			return
		}

		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
}

// serve answers probes on every port that it is told: 200 when ready, else 503.
func serve(ready func() bool) {
	ports := os.Getenv("STUB_PORTS")
	if ports == "" {
		ports = "8080"
	}

	handler := http.HandlerFunc(func(response http.ResponseWriter, _ *http.Request) {
		if !ready() {
			http.Error(response, "not ready yet", http.StatusServiceUnavailable)

			return
		}

		name, _ := os.Hostname()
		fmt.Fprintln(response, name)
	})

	for port := range strings.SplitSeq(ports, ",") {
		go func() { log.Fatal("stub: ", http.ListenAndServe(":"+strings.TrimSpace(port), handler)) }()
	}

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	<-signals
}
