package main

import (
	"context"
	"crypto/x509"
	"errors"
	"log"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/siderolabs/grpc-proxy/proxy"
	"github.com/siderolabs/talos/pkg/machinery/constants"
)

const stopSeconds = 3

// Front answers in the machine's place while the machine's real API does, and with the same kind of TLS.
type Front struct {
	identity      *Identity
	upstream      *Upstream
	inventory     *Inventory
	timeline      *Timeline
	supervisor    *Supervisor
	configuration string // the machine's configuration in its STATE, a file
	systems       string // file: which Talos is installed and runs
	upgradeFault  string // file: what the next upgrade shall do wrong
	uuid, serial  string // of the machine's system
	port          string
	redirect      bool
	installReboot bool

	mu      sync.Mutex
	stage   Stage
	service *service
	waiters []chan struct{} // closed at the next change of stage
}

// service is what serves clients during one stage.
type service struct {
	server      *grpc.Server
	listener    *handover
	connections *Connections
	local       *Local
}

// Follow is told each change of the machine's stage. The connections of the stage before are closed, as the machine's own are.
func (f *Front) Follow(stage Stage, certificate *x509.Certificate) {
	f.mu.Lock()
	defer f.mu.Unlock()

	if f.stage == stage {
		return
	}

	if f.service != nil {
		go f.service.stop()

		f.service = nil
	}

	if stage != StageDown {
		err := f.describeSystem(context.Background())
		if err != nil {
			log.Printf("stage %s: %v", stage, err)
		}

		if f.service, err = f.newService(stage, certificate); err != nil {
			log.Printf("stage %s: %v", stage, err)

			stage = StageDown
		}
	}

	log.Printf("stage %s", stage)

	if f.stage = stage; stage != StageDown && f.redirect {
		if err := RedirectLocalCalls(f.port); err != nil {
			log.Printf("calls from inside the machine do not reach the front: %v", err)
		}
	}

	for _, waiter := range f.waiters {
		close(waiter)
	}

	f.waiters = nil
}

// WaitForStage returns when the stage is one that is wanted, or with the context's error.
func (f *Front) WaitForStage(ctx context.Context, wanted func(Stage) bool) error {
	for {
		f.mu.Lock()

		if wanted(f.stage) {
			f.mu.Unlock()

			return nil
		}

		waiter := make(chan struct{})
		f.waiters = append(f.waiters, waiter)
		f.mu.Unlock()

		select {
		case <-waiter:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (f *Front) newService(stage Stage, certificate *x509.Certificate) (*service, error) {
	tlsConfig, err := f.identity.ServerTLS(stage, certificate)
	if err != nil {
		return nil, err
	}

	connections := &Connections{upstream: f.upstream}

	local, err := NewLocal(f, stage, connections)
	if err != nil {
		return nil, err
	}

	router := &Router{
		stage: stage, address: f.identity.address, worker: f.identity.Worker(), connections: connections, local: local, timeline: f.timeline,
	}

	result := &service{
		connections: connections,
		local:       local,
		listener:    &handover{connections: make(chan net.Conn), closed: make(chan struct{})},
		server: grpc.NewServer(
			grpc.Creds(credentials.NewTLS(tlsConfig)),
			grpc.ForceServerCodecV2(proxy.Codec()),
			grpc.UnknownServiceHandler(router.Handle),
			grpc.MaxRecvMsgSize(constants.GRPCMaxMessageSize),
			grpc.SharedWriteBuffer(true),
		),
	}

	go func() {
		if err := result.server.Serve(result.listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			log.Printf("stage %s: %v", stage, err)
		}
	}()

	return result, nil
}

// stop lets calls that are under way come to their end for a moment, so that the answer of the call that ended the stage gets through.
func (s *service) stop() {
	timer := time.AfterFunc(stopSeconds*time.Second, s.server.Stop)

	s.server.GracefulStop()
	timer.Stop()
	s.local.Close()
	s.connections.Close()
}

// Accept hands each connection to the service of the present stage; without one it is reset, like that of a machine without an API.
func (f *Front) Accept(listener net.Listener) error {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}

		f.mu.Lock()
		current := f.service
		f.mu.Unlock()

		if current == nil || !current.listener.hand(connection) {
			if tcp, ok := connection.(*net.TCPConn); ok {
				tcp.SetLinger(0) //nolint:errcheck
			}

			connection.Close() //nolint:errcheck
		}
	}
}

// handover is the listener of a service: it gives out the connections that it is handed.
type handover struct {
	connections chan net.Conn
	closed      chan struct{}
	once        sync.Once
}

func (h *handover) hand(connection net.Conn) bool {
	select {
	case h.connections <- connection:
		return true
	case <-h.closed:
		return false
	}
}

func (h *handover) Accept() (net.Conn, error) {
	select {
	case connection := <-h.connections:
		return connection, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *handover) Close() error {
	h.once.Do(func() { close(h.closed) })

	return nil
}

func (h *handover) Addr() net.Addr {
	return &net.TCPAddr{}
}
