package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// standIn holds the place of a real chart's program (runc_wrap/stand_in.go): on every port of STUB_PORTS it answers what a kubelet may ask, HTTP, HTTPS and
// gRPC's health, with success.
func standIn() error {
	host, _ := os.Hostname()

	made, err := issue(request{name: host, names: []string{host}, life: 10 * 365 * 24 * time.Hour}, nil)
	if err != nil {
		return err
	}

	server := &http.Server{Handler: http.HandlerFunc(succeed), Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)

	for port := range strings.SplitSeq(os.Getenv("STUB_PORTS"), ",") {
		if port == "" {
			continue
		}

		listener, err := net.Listen("tcp", ":"+port)
		if err != nil {
			// Another container of the pod has it, or another pod of the machine.
			log.Print("stub stand-in: ", err)

			continue
		}

		go func() { log.Fatal("stub stand-in: ", server.Serve(&eitherListener{listener, made.tls()})) }()
	}

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	<-signals

	return nil
}

func succeed(response http.ResponseWriter, request *http.Request) {
	if !strings.HasPrefix(request.Header.Get("Content-Type"), "application/grpc") {
		fmt.Fprintln(response, "ok")

		return
	}

	response.Header().Set("Content-Type", "application/grpc")
	response.Header().Set("Trailer", "Grpc-Status")
	// HealthCheckResponse with status SERVING, in gRPC's frame: not compressed, two bytes.
	_, _ = response.Write([]byte{0, 0, 0, 0, 2, 8, 1})
	response.Header().Set("Grpc-Status", "0")
}

// eitherListener accepts connections with and without TLS, told apart by their first byte.
type eitherListener struct {
	net.Listener
	configuration *tls.Config
}

func (l *eitherListener) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}

	return &eitherConnection{Conn: connection, configuration: l.configuration}, nil
}

// eitherConnection looks at its first byte when it is first read, so that a silent client holds up nobody else.
type eitherConnection struct {
	net.Conn
	configuration *tls.Config
	chosen        net.Conn
}

func (c *eitherConnection) Read(into []byte) (int, error) {
	if c.chosen == nil {
		reader := bufio.NewReader(c.Conn)

		first, err := reader.Peek(1)
		if err != nil {
			return 0, err
		}

		c.chosen = &buffered{c.Conn, reader}
		if first[0] == 0x16 { // a TLS handshake
			c.chosen = tls.Server(c.chosen, c.configuration)
		}
	}

	return c.chosen.Read(into)
}

func (c *eitherConnection) Write(content []byte) (int, error) {
	if c.chosen == nil {
		return c.Conn.Write(content)
	}

	return c.chosen.Write(content)
}

type buffered struct {
	net.Conn
	reader *bufio.Reader
}

func (b *buffered) Read(into []byte) (int, error) { return b.reader.Read(into) }
