// balancer stands in for the Envoy that kind puts before several control planes: same name, same files (kind writes /home/envoy/lds.yaml with the listener
// and cds.yaml with the backends, and replaces them when a control plane joins). It forwards TCP to a backend whose /healthz answers 200, or, while none
// does, to each in turn.
package main

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"regexp"
	"sync"
	"sync/atomic"
	"time"
)

const (
	listenerFile = "/home/envoy/lds.yaml"
	backendsFile = "/home/envoy/cds.yaml"
	lookEvery    = 500 * time.Millisecond
)

var address = regexp.MustCompile(`(?m)^\s+address: "?([A-Za-z0-9.:_-]+)"?\s*\n\s+port_value: (\d+)`)

// addresses gives every host:port that one of kind's files names; none while the file is not there yet.
func addresses(file string) []string {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}

	var found []string
	for _, match := range address.FindAllStringSubmatch(string(text), -1) {
		found = append(found, net.JoinHostPort(match[1], match[2]))
	}

	return found
}

type balancer struct {
	client http.Client
	mutex  sync.Mutex
	live   []string
	turn   atomic.Uint64
}

// look asks every backend for its health.
func (b *balancer) look() {
	backends := addresses(backendsFile)

	var healthy []string
	for _, backend := range backends {
		if response, err := b.client.Get("https://" + backend + "/healthz"); err == nil {
			response.Body.Close()

			if response.StatusCode == http.StatusOK {
				healthy = append(healthy, backend)
			}
		}
	}

	if len(healthy) == 0 {
		healthy = backends
	}

	b.mutex.Lock()
	b.live = healthy
	b.mutex.Unlock()
}

func (b *balancer) forward(client net.Conn) {
	defer client.Close()

	b.mutex.Lock()
	live := b.live
	b.mutex.Unlock()

	first := b.turn.Add(1)
	for i := range live {
		server, err := net.DialTimeout("tcp", live[(first+uint64(i))%uint64(len(live))], 250*time.Millisecond)
		if err != nil {
			continue
		}
		defer server.Close()

		go func() {
			io.Copy(server, client)
			server.(*net.TCPConn).CloseWrite()
		}()
		io.Copy(client, server)

		return
	}
}

func (b *balancer) listen(at string) {
	listener, err := net.Listen("tcp", at)
	if err != nil {
		log.Fatal("balancer: ", err)
	}

	log.Print("balancer: listening on ", at)

	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal("balancer: ", err)
		}

		go b.forward(connection)
	}
}

func main() {
	b := &balancer{client: http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{
		// Only whether it lives is asked; clients check its certificate themselves.
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		DisableKeepAlives: true,
	}}}

	listening := false

	for range time.Tick(lookEvery) {
		if at := addresses(listenerFile); len(at) > 0 && !listening {
			listening = true
			go b.listen(at[0])
		}

		b.look()
	}
}
