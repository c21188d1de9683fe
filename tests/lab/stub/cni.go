package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const account = "/var/run/secrets/kubernetes.io/serviceaccount"

type node struct {
	Metadata struct {
		Name            string `json:"name"`
		ResourceVersion string `json:"resourceVersion"`
	} `json:"metadata"`
	Spec struct {
		PodCIDR string `json:"podCIDR"`
	} `json:"spec"`
	Status struct {
		Addresses []struct {
			Type    string `json:"type"`
			Address string `json:"address"`
		} `json:"addresses"`
	} `json:"status"`
}

func (n node) address() string {
	for _, address := range n.Status.Addresses {
		if address.Type == "InternalIP" {
			return address.Address
		}
	}

	return ""
}

type cniDouble struct {
	client *http.Client
	server string
	name   string
	path   string // the configuration file, on the host
	ready  atomic.Bool
}

// runCNI makes a node's pod network with the real CNI plugins: a point-to-point link per pod, and a host route to every other node's pod network. It is
// ready once the configuration is written.
// Environment: NODE_NAME, KUBERNETES_SERVICE_HOST and _PORT (where the API server is reached without a service network), CNI_CONFIGURATION (path of the
// file to write, on a host mount). It needs the host's network, NET_ADMIN and leave to list and watch nodes.
func runCNI() error {
	authority, err := os.ReadFile(filepath.Join(account, "ca.crt"))
	if err != nil {
		return err
	}

	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)

	double := &cniDouble{
		client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}},
		server: "https://" + net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")),
		name:   os.Getenv("NODE_NAME"),
		path:   os.Getenv("CNI_CONFIGURATION"),
	}
	if double.path == "" {
		double.path = "/host/etc/cni/net.d/05-cilium.conflist"
	}

	go serve(double.ready.Load)

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	for ctx.Err() == nil {
		if err = double.follow(ctx); err != nil && ctx.Err() == nil {
			log.Print("stub cni: ", err)
		}

		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}

	return nil
}

// follow lists the nodes and then watches them until the stream ends.
func (d *cniDouble) follow(ctx context.Context) error {
	response, err := d.get(ctx, "/api/v1/nodes")
	if err != nil {
		return err
	}
	defer response.Body.Close()

	var list struct {
		Metadata struct {
			ResourceVersion string `json:"resourceVersion"`
		} `json:"metadata"`
		Items []node `json:"items"`
	}
	if err = json.NewDecoder(response.Body).Decode(&list); err != nil {
		return err
	}

	for _, item := range list.Items {
		if err = d.learn(item); err != nil {
			return err
		}
	}

	stream, err := d.get(ctx, "/api/v1/nodes?watch=1&resourceVersion="+list.Metadata.ResourceVersion)
	if err != nil {
		return err
	}
	defer stream.Body.Close()

	lines := bufio.NewScanner(stream.Body)
	lines.Buffer(nil, 4<<20)

	for lines.Scan() {
		var event struct {
			Type   string `json:"type"`
			Object node   `json:"object"`
		}
		if err = json.Unmarshal(lines.Bytes(), &event); err != nil {
			return err
		}

		if event.Type == "ADDED" || event.Type == "MODIFIED" {
			if err = d.learn(event.Object); err != nil {
				return err
			}
		}
	}

	return lines.Err()
}

func (d *cniDouble) get(ctx context.Context, path string) (*http.Response, error) {
	token, err := os.ReadFile(filepath.Join(account, "token"))
	if err != nil {
		return nil, err
	}

	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.server+path, nil)
	if err != nil {
		return nil, err
	}

	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))

	response, err := d.client.Do(request)
	if err != nil {
		return nil, err
	}

	if response.StatusCode != http.StatusOK {
		response.Body.Close()

		return nil, fmt.Errorf("%s: %s", path, response.Status)
	}

	return response, nil
}

// learn writes the configuration when the node is this one, and a route to its pods when it is another.
func (d *cniDouble) learn(n node) error {
	if n.Spec.PodCIDR == "" {
		return nil
	}

	if n.Metadata.Name == d.name {
		if err := writeConfiguration(d.path, n.Spec.PodCIDR); err != nil {
			return err
		}

		d.ready.Store(true)

		return nil
	}

	if address := n.address(); address != "" {
		command := exec.Command("ip", "route", "replace", n.Spec.PodCIDR, "via", address)
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", command, err, output)
		}
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
