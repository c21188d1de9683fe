// stub is the program of the lab's stub image: it stands in for a component's containers. The name that it is called by, or its first
// argument, picks what it does; anything unknown serves.
//
//	pause                  hold a pod's namespaces and reap its orphans
//	cni                    pod network, service addresses and announcements of a node (cni.go)
//	operator               play a component's controller (operator.go)
//	metrics                the aggregated API metrics.k8s.io (metrics.go)
//	gateway                lead requests to services by HTTPRoutes (gateway.go)
//	forward                pass connections on (forward.go)
//	job                    print the arguments and exit 0
//	accepted               exit 0 once the API server accepts the object in STUB_OBJECT (nothing is stored)
//	stand-in               hold the place of a real chart's program (stand_in.go)
//	anything else (serve)  answer 200 to every HTTP request on the ports in STUB_PORTS (default 8080), until told to end
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)

	verb := filepath.Base(os.Args[0])
	if verb == "stub" && len(os.Args) > 1 {
		verb = os.Args[1]
	}

	var err error

	switch verb {
	case "pause":
		pause()
	case "cni":
		err = runCNI()
	case "operator":
		err = runOperator()
	case "metrics":
		err = runMetrics()
	case "gateway":
		err = runGateway()
	case "forward":
		err = forward()
	case "job":
		fmt.Println("stub job:", strings.Join(os.Args[1:], " "))
	case "stand-in":
		err = standIn()
	case "accepted":
		err = waitUntilAccepted()
	default:
		serve(func() bool { return true })
	}

	if err != nil {
		log.Fatalf("stub %s: %v", verb, err)
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

// waitUntilAccepted sends the object in STUB_OBJECT as a dry run until it is accepted, as cert-manager's check of its own API does.
func waitUntilAccepted() error {
	server, err := newAPI()
	if err != nil {
		return err
	}

	var item object
	if err = json.Unmarshal([]byte(os.Getenv("STUB_OBJECT")), &item); err != nil {
		return fmt.Errorf("STUB_OBJECT: %w", err)
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	for ctx.Err() == nil {
		path, err := server.path(ctx, item)
		if err == nil {
			err = server.call(ctx, http.MethodPost, filepath.Dir(path)+"?dryRun=All", plainJSON, item, nil)
		}

		if err == nil {
			fmt.Println("stub: the API accepts", text(item, "kind"))

			return nil
		}

		log.Print("stub: not yet: ", err)
		time.Sleep(time.Second)
	}

	return ctx.Err()
}
