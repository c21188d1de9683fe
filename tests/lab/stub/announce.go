package main

import (
	"context"
	"fmt"
	"log"
	"os/exec"
	"sync"
)

// announce puts the addresses of LoadBalancer services on this node's link while the node holds the service's Lease, whose name is that of Cilium's
// announcements. What arrives there, kube-proxy leads to the service.
func announce(ctx context.Context, server *api, node string) {
	type holding struct {
		address string
		stop    context.CancelFunc
	}

	var mutex sync.Mutex

	holdings := map[string]holding{}

	server.follow(ctx, "/api/v1/services", func(service object, gone bool) {
		mutex.Lock()
		defer mutex.Unlock()

		uid, address := text(service, "metadata", "uid"), ""

		if entries := list(service, "status", "loadBalancer", "ingress"); len(entries) > 0 && !gone && text(service, "spec", "type") == "LoadBalancer" {
			address = text(entries[0], "ip")
		}

		before, known := holdings[uid]
		if known && before.address == address || !known && address == "" {
			return
		}

		if known {
			before.stop()
			delete(holdings, uid)
		}

		if address == "" {
			return
		}

		inner, stop := context.WithCancel(ctx)
		holdings[uid] = holding{address, stop}
		name := "cilium-l2announce-" + text(service, "metadata", "namespace") + "-" + text(service, "metadata", "name")
		claim := &lease{api: server, namespace: "kube-system", name: name, identity: node}

		go claim.keep(inner, func(held bool) {
			if held {
				// Removed and added, so that neighbours learn of it.
				_ = ip(context.Background(), "address", "delete", address+"/32", "dev", "eth0")
				report(ip(context.Background(), "address", "add", address+"/32", "dev", "eth0"))
				report(arping(address))
				log.Printf("stub cni: announces %s for %s", address, name)
			} else {
				_ = ip(context.Background(), "address", "delete", address+"/32", "dev", "eth0")
			}
		})
	})
}

func report(err error) {
	if err != nil {
		log.Print("stub: ", err)
	}
}

// arping tells the neighbours where the address is now.
func arping(address string) error {
	command := exec.Command("/usr/bin/busybox", "arping", "-A", "-c", "1", "-I", "eth0", address)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", command, err, output)
	}

	return nil
}
