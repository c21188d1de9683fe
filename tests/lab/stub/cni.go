package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

type cniDouble struct {
	api   *api
	name  string
	path  string // the configuration file, on the host
	ready atomic.Bool

	masquerades bool
	inside      map[string]string // what is in the set “inside“, by node
}

// runCNI makes a node's pod network with the real CNI plugins: a point-to-point link per pod, and a host route to every other node's pod network. It is
// ready once the configuration is written. What pods send elsewhere than to pods and nodes has the node's address, as with Cilium. Service addresses are the work of the real kube-proxy, which it runs; those of load balancers are on the link
// of the node that holds their Lease, as with Cilium's announcements.
// Environment: NODE_NAME, KUBERNETES_SERVICE_HOST and _PORT (where the API server is reached without a service network), CNI_CONFIGURATION (path of the
// file to write, on a host mount), KUBE_PROXY (its path; empty: no service addresses). It needs the host's network, NET_ADMIN and leave to watch nodes.
func runCNI() error {
	server, err := newAPI()
	if err != nil {
		return err
	}

	program := os.Getenv("KUBE_PROXY") // whose image has nft too

	double := &cniDouble{
		api: server, name: os.Getenv("NODE_NAME"), path: os.Getenv("CNI_CONFIGURATION"),
		masquerades: program != "", inside: map[string]string{},
	}
	if double.path == "" {
		double.path = "/host/etc/cni/net.d/05-cilium.conflist"
	}

	go serve(double.ready.Load)

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	go server.follow(ctx, "/api/v1/nodes", func(node object, gone bool) {
		if gone {
			return
		}

		if err := double.learn(ctx, node); err != nil {
			log.Print("stub cni: ", err)
		}
	})

	if program != "" {
		go keepRunning(ctx, program, "--proxy-mode=nftables", "--hostname-override="+double.name,
			"--detect-local-mode=InterfaceNamePrefix", "--pod-interface-name-prefix=veth",
			"--metrics-bind-address=127.0.0.1:10249", "--healthz-bind-address=127.0.0.1:10256",
			// The kernel's limits are this computer's, not the machine's.
			"--conntrack-max-per-core=0", "--conntrack-min=0", "--conntrack-tcp-timeout-established=0s", "--conntrack-tcp-timeout-close-wait=0s")

		go announce(ctx, server, double.name)
	}

	<-ctx.Done()

	return nil
}

// keepRunning starts a program again a second after it ends.
func keepRunning(ctx context.Context, program string, arguments ...string) {
	for ctx.Err() == nil {
		command := exec.CommandContext(ctx, program, arguments...)
		command.Stdout, command.Stderr = os.Stdout, os.Stderr
		log.Printf("stub cni: %s ended: %v", program, command.Run())

		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// learn writes the configuration when the node is this one, and a route to its pods when it is another.
func (d *cniDouble) learn(ctx context.Context, node object) error {
	network := text(node, "spec", "podCIDR")
	if network == "" {
		return nil
	}

	name, address := text(node, "metadata", "name"), internalAddress(node)

	if d.masquerades && address != "" && d.inside[name] != network+" "+address {
		if err := masquerade(ctx, network, address, name == d.name); err != nil {
			return err
		}

		d.inside[name] = network + " " + address
	}

	if name == d.name {
		if err := writeConfiguration(d.path, network); err != nil {
			return err
		}

		d.ready.Store(true)

		return nil
	}

	if address == "" {
		return nil
	}

	return ip(ctx, "route", "replace", network, "via", address)
}

func internalAddress(node object) string {
	for _, address := range list(node, "status", "addresses") {
		if text(address, "type") == "InternalIP" {
			return text(address, "address")
		}
	}

	return ""
}

// masquerade lets what the pods of “network“ send out of the cluster have the address of their node, when that is this one. Every node's address and pods
// are inside.
func masquerade(ctx context.Context, network, address string, own bool) error {
	rules := `add table ip lab-masquerade
add set ip lab-masquerade inside { type ipv4_addr; flags interval; }
add chain ip lab-masquerade postrouting { type nat hook postrouting priority srcnat; }
add element ip lab-masquerade inside { ` + network + `, ` + address + ` }
`
	if own {
		rules += "flush chain ip lab-masquerade postrouting\n" +
			"add rule ip lab-masquerade postrouting ip saddr " + network + " ip daddr != @inside masquerade\n"
	}

	command := exec.CommandContext(ctx, "nft", "-f", "-")
	command.Stdin = strings.NewReader(rules)

	return run(command)
}

func ip(ctx context.Context, arguments ...string) error {
	return run(exec.CommandContext(ctx, "ip", arguments...))
}

func run(command *exec.Cmd) error {
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", command, err, output)
	}

	return nil
}

func writeConfiguration(path, network string) error {
	text, err := json.MarshalIndent(map[string]any{
		"cniVersion": "1.0.0",
		"name":       "lab",
		"plugins": []any{
			map[string]any{"type": "ptp", "ipMasq": false, "mtu": 1400, "ipam": map[string]any{
				"type": "host-local",
				// Gone with a reboot, as the pods are that hold the addresses.
				"dataDir": "/run/cni-addresses",
				"ranges":  []any{[]any{map[string]any{"subnet": network}}},
				"routes":  []any{map[string]any{"dst": "0.0.0.0/0"}},
			}},
			map[string]any{"type": "portmap", "capabilities": map[string]any{"portMappings": true}},
		},
	}, "", "  ")
	if err != nil {
		return err
	}

	if before, err := os.ReadFile(path); err == nil && bytes.Equal(before, text) {
		return nil
	}

	// Written whole and then renamed: the kubelet must never read half a file.
	temporary := filepath.Join(filepath.Dir(path), ".lab-cni")
	if err = os.WriteFile(temporary, text, 0o644); err != nil {
		return err
	}

	log.Print("stub cni: pod network ", network)

	return os.Rename(temporary, path)
}
