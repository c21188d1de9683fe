package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/siderolabs/grpc-proxy/proxy"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
)

// Stage is what the machine's real API is doing.
type Stage int

// The stages: no API; the maintenance API (self-signed, anybody may call); the API of a configured machine (mutual TLS).
const (
	StageDown Stage = iota
	StageMaintenance
	StageRunning
)

func (s Stage) String() string {
	return [...]string{"down", "maintenance", "running"}[s]
}

// stageOf tells the stage from the server certificate.
func stageOf(server *x509.Certificate) Stage {
	switch {
	case server == nil:
		return StageDown
	case server.Subject.CommonName == constants.MaintenanceServiceCommonName:
		return StageMaintenance
	default:
		return StageRunning
	}
}

// Upstream is the machine's real apid, on the loopback address of the machine's network namespace.
type Upstream struct {
	address  string
	identity *Identity
}

// dial makes a connection (lazily). The server's certificate is not verified: nobody else can listen inside the machine. Each
// certificate seen is given to observe. The client certificate, if the server asks for one, has the given roles.
func (u *Upstream) dial(organizations []string, observe func(*x509.Certificate)) (*grpc.ClientConn, error) {
	config := &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec
		NextProtos:         []string{"h2"},
	}

	var (
		mu     sync.Mutex
		server *x509.Certificate
	)

	config.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return errors.New("the machine presents no certificate")
		}

		mu.Lock()
		server = state.PeerCertificates[0]
		mu.Unlock()

		if observe != nil {
			observe(state.PeerCertificates[0])
		}

		return nil
	}

	// In TLS 1.3 the server's certificate is verified before the client's is chosen.
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()

		return u.identity.ClientCertificate(server, organizations)
	}

	return grpc.NewClient(
		"passthrough:///"+u.address,
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithNoProxy(),
		grpc.WithIdleTimeout(0), // an idle connection would look like a machine that went down
		grpc.WithInitialWindowSize(65535*32),
		grpc.WithInitialConnWindowSize(65535*16),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.2, MaxDelay: 300 * time.Millisecond},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(constants.GRPCMaxMessageSize),
			grpc.ForceCodecV2(proxy.Codec()),
		),
	)
}

// Watch keeps one connection open and tells every change of stage, with the machine's certificate, until the context ends.
func (u *Upstream) Watch(ctx context.Context, changed func(Stage, *x509.Certificate)) error {
	var (
		mu   sync.Mutex
		seen *x509.Certificate
	)

	connection, err := u.dial([]string{"os:reader"}, func(certificate *x509.Certificate) {
		mu.Lock()
		defer mu.Unlock()

		seen = certificate
	})
	if err != nil {
		return err
	}
	defer connection.Close() //nolint:errcheck

	for {
		state := connection.GetState()

		switch state { //nolint:exhaustive
		case connectivity.Ready:
			mu.Lock()
			certificate := seen
			mu.Unlock()

			changed(stageOf(certificate), certificate)
		case connectivity.Idle:
			changed(StageDown, nil)
			connection.Connect()
		case connectivity.TransientFailure:
			changed(StageDown, nil)
		}

		if !connection.WaitForStateChange(ctx, state) {
			return nil
		}
	}
}

// Connections are the front's connections to the machine's API in one stage, one for each set of roles.
type Connections struct {
	upstream *Upstream

	mu   sync.Mutex
	open map[string]*grpc.ClientConn
}

// Get returns the connection that has the roles of the given certificate organizations.
func (c *Connections) Get(organizations []string) (*grpc.ClientConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()

	key := strings.Join(organizations, "\n")

	if connection, ok := c.open[key]; ok {
		return connection, nil
	}

	connection, err := c.upstream.dial(organizations, nil)
	if err != nil {
		return nil, err
	}

	if c.open == nil {
		c.open = map[string]*grpc.ClientConn{}
	}

	c.open[key] = connection

	return connection, nil
}

// Close closes all of them.
func (c *Connections) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()

	for _, connection := range c.open {
		connection.Close() //nolint:errcheck
	}

	c.open = nil
}
