package main

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"

	"github.com/cosi-project/runtime/api/v1alpha1"
	cosiserver "github.com/cosi-project/runtime/pkg/state/protobuf/server"
	"github.com/google/uuid"
	"github.com/siderolabs/talos/pkg/machinery/api/common"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/api/storage"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/emptypb"
)

// Local holds the services that the front itself answers in one stage. It asks the machine first wherever that tells whether the caller
// may do so, hence a refusal is always Talos's own.
type Local struct {
	front       *Front
	stage       Stage
	connections *Connections

	server     *grpc.Server
	connection *grpc.ClientConn
}

type machineService struct {
	machine.UnimplementedMachineServiceServer
	*Local

	applying  sync.Mutex
	upgrading sync.Mutex
}

type storageService struct {
	storage.UnimplementedStorageServiceServer
	*Local
}

type resourceService struct {
	*cosiserver.State
	*Local
}

// NewLocal starts the services on a pipe inside the program.
func NewLocal(front *Front, stage Stage, connections *Connections) (*Local, error) {
	local := &Local{front: front, stage: stage, connections: connections, server: grpc.NewServer(grpc.MaxRecvMsgSize(constants.GRPCMaxMessageSize))}

	machines := &machineService{Local: local}

	machine.RegisterMachineServiceServer(local.server, machines)
	machine.RegisterLifecycleServiceServer(local.server, &lifecycleService{machineService: machines})
	storage.RegisterStorageServiceServer(local.server, &storageService{Local: local})
	v1alpha1.RegisterStateServer(local.server, &resourceService{State: cosiserver.NewState(front.inventory.State), Local: local})

	listener := bufconn.Listen(1 << 20)

	var err error

	local.connection, err = grpc.NewClient(
		"passthrough:///front",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(constants.GRPCMaxMessageSize), grpc.ForceCodecV2(rawCodec)),
	)
	if err != nil {
		return nil, err
	}

	go local.server.Serve(listener) //nolint:errcheck

	return local, nil
}

// Connection is the way to the services.
func (l *Local) Connection() *grpc.ClientConn {
	return l.connection
}

// Close ends the services.
func (l *Local) Close() {
	l.connection.Close() //nolint:errcheck
	l.server.Stop()
}

// machine returns the connection to the machine's API with the caller's roles, and the context for calls on it.
func (l *Local) machine(ctx context.Context) (context.Context, *grpc.ClientConn, error) {
	received, _ := metadata.FromIncomingContext(ctx)
	sent := received.Copy()
	organizations := sent[organizationsKey]

	delete(sent, organizationsKey)
	delete(sent, ":authority")
	// The front has judged that it is for this machine, whose apid would otherwise pass a call that names it on to itself, and so back to here.
	delete(sent, "node")

	connection, err := l.connections.Get(organizations)
	if err != nil {
		return nil, nil, status.Error(codes.Unavailable, err.Error())
	}

	return metadata.NewOutgoingContext(ctx, sent), connection, nil
}

// requireRole refuses a caller who has none of the roles, as Talos does. Roles come from the certificate, or from metadata when another
// machine's apid passes the call on.
func requireRole(ctx context.Context, required ...role.Role) error {
	received, _ := metadata.FromIncomingContext(ctx)
	roles, _ := role.Parse(received[organizationsKey])

	if roles.Includes(role.Impersonator) && len(received[constants.APIAuthzRoleMetadataKey]) > 0 {
		roles, _ = role.Parse(received[constants.APIAuthzRoleMetadataKey])
	}

	if !roles.IncludesAny(role.MakeSet(required...)) {
		return status.Error(codes.PermissionDenied, "not authorized")
	}

	return nil
}

// mayRead asks the machine for the same kind of resource, to learn whether the caller may see it.
func (r *resourceService) mayRead(ctx context.Context, namespace, kind string) error {
	outgoing, connection, err := r.machine(ctx)
	if err != nil {
		return err
	}

	stream, err := v1alpha1.NewStateClient(connection).List(outgoing, &v1alpha1.ListRequest{Namespace: namespace, Type: kind})
	if err != nil {
		return err
	}

	for {
		if _, err = stream.Recv(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// Get implements the COSI state service for the resources of the disks.
func (r *resourceService) Get(ctx context.Context, request *v1alpha1.GetRequest) (*v1alpha1.GetResponse, error) {
	if err := r.mayRead(ctx, request.GetNamespace(), request.GetType()); err != nil {
		return nil, err
	}

	return r.State.Get(ctx, request)
}

// List implements the COSI state service for the resources of the disks.
func (r *resourceService) List(request *v1alpha1.ListRequest, stream v1alpha1.State_ListServer) error {
	if err := r.mayRead(stream.Context(), request.GetNamespace(), request.GetType()); err != nil {
		return err
	}

	return r.State.List(request, stream)
}

// Watch implements the COSI state service for the resources of the disks.
func (r *resourceService) Watch(request *v1alpha1.WatchRequest, stream v1alpha1.State_WatchServer) error {
	if err := r.mayRead(stream.Context(), request.GetNamespace(), request.GetType()); err != nil {
		return err
	}

	return r.State.Watch(request, stream)
}

// Read answers the boot ID: that of the host stays the same when a machine of the lab restarts, so it is made from the time at which
// the machine's resource state was made. Talosctl tells by it whether a machine has restarted.
func (m *machineService) Read(request *machine.ReadRequest, stream machine.MachineService_ReadServer) error {
	outgoing, connection, err := m.machine(stream.Context())
	if err != nil {
		return err
	}

	original, err := machine.NewMachineServiceClient(connection).Read(outgoing, request)
	if err != nil {
		return err
	}

	for {
		if _, err = original.Recv(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}

	response, err := v1alpha1.NewStateClient(connection).Get(outgoing, &v1alpha1.GetRequest{
		Namespace: "meta", Type: "Namespaces.meta.cosi.dev", Id: "meta",
	})
	if err != nil {
		return err
	}

	created, err := response.GetResource().GetMetadata().GetCreated().AsTime().MarshalText()
	if err != nil {
		return err
	}

	id := uuid.NewSHA1(uuid.NameSpaceOID, append([]byte(m.front.timeline.machine), created...))

	return stream.Send(&common.Data{Bytes: []byte(id.String() + "\n")})
}

// Disks implements the older way to list disks.
func (s *storageService) Disks(ctx context.Context, request *emptypb.Empty) (*storage.DisksResponse, error) {
	outgoing, connection, err := s.machine(ctx)
	if err != nil {
		return nil, err
	}

	if _, err = storage.NewStorageServiceClient(connection).Disks(outgoing, request); err != nil {
		return nil, err
	}

	system, installed, err := s.front.inventory.SystemDisk(ctx)
	if err != nil {
		return nil, err
	}

	disks := &storage.Disks{}

	for _, disk := range s.front.inventory.Disks() {
		kind := storage.Disk_SSD

		switch {
		case disk.Transport == "nvme":
			kind = storage.Disk_NVME
		case disk.Rotational:
			kind = storage.Disk_HDD
		}

		disks.Disks = append(disks.Disks, &storage.Disk{
			DeviceName: disk.DevPath(), Model: disk.Model, Size: disk.SizeBytes, Serial: disk.Serial, Wwid: disk.WWID, Type: kind,
			SystemDisk: installed && disk.Name == system.Name, Subsystem: "/sys/class/block", Readonly: disk.Readonly,
		})
	}

	return &storage.DisksResponse{Messages: []*storage.Disks{disks}}, nil
}
