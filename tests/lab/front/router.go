package main

import (
	"context"
	"slices"
	"strings"

	"github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/siderolabs/grpc-proxy/proxy"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

const (
	organizationsKey = "x-front-organizations" // between the front and its own services only
	bootIDPath       = "/proc/sys/kernel/random/boot_id"
)

// ownMethods are answered by the front's own services (Local), most of them with the machine's help.
var ownMethods = map[string]bool{
	machine.MachineService_ApplyConfiguration_FullMethodName: true,
	machine.MachineService_Bootstrap_FullMethodName:          true,
	machine.MachineService_Reboot_FullMethodName:             true,
	machine.MachineService_Reset_FullMethodName:              true,
	machine.MachineService_Rollback_FullMethodName:           true,
	machine.MachineService_Shutdown_FullMethodName:           true,
	machine.MachineService_Upgrade_FullMethodName:            true,
	machine.MachineService_Version_FullMethodName:            true,
	machine.LifecycleService_Upgrade_FullMethodName:          true,
	"/storage.StorageService/Disks":                          true,
	"/storage.StorageService/BlockDeviceWipe":                true,
}

// changingMethods are passed on, and recorded since they change the machine or its cluster.
var changingMethods = map[string]bool{
	"/machine.DebugService/ContainerRun":            true,
	"/machine.ImageService/Import":                  true,
	"/machine.ImageService/Pull":                    true,
	"/machine.ImageService/Remove":                  true,
	"/machine.LifecycleService/Install":             true,
	"/machine.MachineService/EtcdAlarmDisarm":       true,
	"/machine.MachineService/EtcdDefragment":        true,
	"/machine.MachineService/EtcdDowngradeCancel":   true,
	"/machine.MachineService/EtcdDowngradeEnable":   true,
	"/machine.MachineService/EtcdForfeitLeadership": true,
	"/machine.MachineService/EtcdLeaveCluster":      true,
	"/machine.MachineService/EtcdRecover":           true,
	"/machine.MachineService/EtcdRemoveMemberByID":  true,
	"/machine.MachineService/ImagePull":             true,
	"/machine.MachineService/MetaDelete":            true,
	"/machine.MachineService/MetaWrite":             true,
	"/machine.MachineService/Restart":               true,
	"/machine.MachineService/ServiceRestart":        true,
	"/machine.MachineService/ServiceStart":          true,
	"/machine.MachineService/ServiceStop":           true,
	"/cosi.resource.State/Create":                   true,
	"/cosi.resource.State/Update":                   true,
	"/cosi.resource.State/Destroy":                  true,
}

// Router passes calls through to the machine's apid, but for those that the front answers itself. Calls for other machines
// (metadata node, nodes) all go to apid, which proxies them as ever; they arrive at the front of the machine that they are for.
type Router struct {
	stage       Stage
	address     string // of the machine
	worker      bool
	connections *Connections
	local       *Local
	timeline    *Timeline
}

// Handle serves one call.
func (r *Router) Handle(server any, stream grpc.ServerStream) error {
	method, ok := grpc.MethodFromServerStream(stream)
	if !ok {
		return status.Error(codes.Internal, "a call without method")
	}

	organizations := callerOrganizations(stream.Context())

	if !r.forThisMachine(stream.Context()) {
		return r.pass(server, stream, organizations)
	}

	own := ownMethods[method]

	if !own && mayBeOwn(method) {
		peeked, err := peek(stream)
		if err != nil {
			return err
		}

		stream, own = peeked, isOwn(method, peeked.payload)
	}

	if own {
		return proxy.TransparentHandler(toBackend(r.local.Connection(), metadata.Pairs(organizationsPairs(organizations)...)))(server, stream)
	}

	err := r.pass(server, stream, organizations)

	if changingMethods[method] {
		fields := Fields{"method": method}

		if err != nil {
			fields["error"] = err.Error()
		}

		r.timeline.Record("call", err == nil, fields)
	}

	return err
}

func (r *Router) pass(server any, stream grpc.ServerStream, organizations []string) error {
	connection, err := r.connections.Get(organizations)
	if err != nil {
		return status.Error(codes.Unavailable, err.Error())
	}

	return proxy.TransparentHandler(toBackend(connection, nil))(server, stream)
}

// forThisMachine tells whether apid would answer the call itself; as in apid's director. A control plane's apid answers a call that names
// its own machine by calling itself, which comes back here (RedirectLocalCalls). A worker's apid does not forward, and answers directly.
func (r *Router) forThisMachine(ctx context.Context) bool {
	received, _ := metadata.FromIncomingContext(ctx)
	nodes, node := received["nodes"], received["node"]

	if r.stage == StageMaintenance || len(received["proxyfrom"]) > 0 {
		return true
	}

	own := []string{r.address}

	return (len(nodes) == 0 || (r.worker && slices.Equal(nodes, own))) && (len(node) == 0 || slices.Equal(node, own))
}

// callerOrganizations are the roles in the caller's certificate; none in maintenance mode.
func callerOrganizations(ctx context.Context) []string {
	caller, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}

	info, ok := caller.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) == 0 {
		return nil
	}

	return slices.Sorted(slices.Values(info.State.PeerCertificates[0].Subject.Organization))
}

func organizationsPairs(organizations []string) []string {
	pairs := make([]string, 0, 2*len(organizations))

	for _, organization := range organizations {
		pairs = append(pairs, organizationsKey, organization)
	}

	return pairs
}

// toBackend directs a call to the connection, with the caller's metadata and the added one.
func toBackend(connection *grpc.ClientConn, added metadata.MD) proxy.StreamDirector {
	return func(context.Context, string) (proxy.Mode, []proxy.Backend, error) {
		return proxy.One2One, []proxy.Backend{&proxy.SingleBackend{
			GetConn: func(ctx context.Context) (context.Context, *grpc.ClientConn, error) {
				received, _ := metadata.FromIncomingContext(ctx)
				sent := received.Copy()
				delete(sent, organizationsKey)

				return metadata.NewOutgoingContext(ctx, metadata.Join(sent, added)), connection, nil
			},
		}}, nil
	}
}

func mayBeOwn(method string) bool {
	return method == machine.MachineService_Read_FullMethodName || strings.HasPrefix(method, "/cosi.resource.State/")
}

// isOwn tells whether the front answers this request itself: for resources of the disks, and for the boot ID.
func isOwn(method string, payload []byte) bool {
	switch method {
	case machine.MachineService_Read_FullMethodName:
		var request machine.ReadRequest

		return proto.Unmarshal(payload, &request) == nil && request.GetPath() == bootIDPath
	case v1alpha1.State_Get_FullMethodName:
		var request v1alpha1.GetRequest

		return proto.Unmarshal(payload, &request) == nil && slices.Contains(ResourceTypes, request.GetType())
	case v1alpha1.State_List_FullMethodName:
		var request v1alpha1.ListRequest

		return proto.Unmarshal(payload, &request) == nil && slices.Contains(ResourceTypes, request.GetType())
	case v1alpha1.State_Watch_FullMethodName:
		var request v1alpha1.WatchRequest

		return proto.Unmarshal(payload, &request) == nil && slices.Contains(ResourceTypes, request.GetType())
	default:
		return false
	}
}

// peekedStream is a stream whose first message has been looked at, and is received again.
type peekedStream struct {
	grpc.ServerStream

	payload  []byte
	received bool
}

func peek(stream grpc.ServerStream) (*peekedStream, error) {
	frame := proxy.NewFrame(nil)

	if err := stream.RecvMsg(frame); err != nil {
		return nil, err
	}

	buffers, err := proxy.Codec().Marshal(frame)
	if err != nil {
		return nil, err
	}

	return &peekedStream{ServerStream: stream, payload: buffers.Materialize()}, nil
}

func (p *peekedStream) RecvMsg(message any) error {
	if p.received {
		return p.ServerStream.RecvMsg(message)
	}

	p.received = true

	return proxy.Codec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(p.payload)}, message)
}
