package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/blang/semver/v4"
	"github.com/google/uuid"
	"github.com/siderolabs/talos/pkg/machinery/api/common"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/compatibility"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// The upgrade is simulated: the image is really pulled by the machine, Talos's own rules say from which version to which one may go, and
// then the machine's next boot is "the other Talos". It is the same program, which from then on says another version, and has another
// schematic. The machine's supervisor decides at the boot whether it comes up (or goes back, or hangs: a fault).

const (
	faultInstallFails = "install-fails"
	compatibleMinors  = 2 // a Talos later than Talos's own table takes hosts that are two minor versions older, as those in it do
)

type lifecycleService struct {
	machine.UnimplementedLifecycleServiceServer
	*machineService
}

// Upgrade runs the (simulated) installer of an image that was pulled before. The machine goes on; its next boot is the other system.
func (l *lifecycleService) Upgrade(request *machine.LifecycleServiceUpgradeRequest, stream machine.LifecycleService_UpgradeServer) error {
	ctx, image := stream.Context(), request.GetSource().GetImageName()
	fields := Fields{"method": "lifecycle", "image": image}

	exitCode, err := l.upgrade(ctx, request, fields, func(message string) error {
		return stream.Send(&machine.LifecycleServiceUpgradeResponse{
			Progress: &machine.LifecycleServiceInstallProgress{Response: &machine.LifecycleServiceInstallProgress_Message{Message: message + "\n"}},
		})
	})
	if err != nil {
		fields["error"] = err.Error()
	}

	l.front.timeline.Record("upgrade-request", err == nil && exitCode == 0, fields)

	if err != nil {
		return err
	}

	return stream.Send(&machine.LifecycleServiceUpgradeResponse{
		Progress: &machine.LifecycleServiceInstallProgress{Response: &machine.LifecycleServiceInstallProgress_ExitCode{ExitCode: exitCode}},
	})
}

func (l *lifecycleService) upgrade(
	ctx context.Context, request *machine.LifecycleServiceUpgradeRequest, fields Fields, say func(string) error,
) (int32, error) {
	if err := requireRole(ctx, role.Admin); err != nil {
		return 0, err
	}

	if !l.upgrading.TryLock() {
		return 0, status.Error(codes.FailedPrecondition, "another installation/upgrade is already in progress")
	}
	defer l.upgrading.Unlock()

	if _, installed, err := l.front.inventory.SystemDisk(ctx); err != nil {
		return 0, err
	} else if !installed {
		return 0, status.Error(codes.FailedPrecondition, "machine is not installed")
	}

	image := request.GetSource().GetImageName()
	if image == "" {
		return 0, status.Error(codes.InvalidArgument, "installer image name is required")
	}

	pulled, err := l.pulled(ctx, request.GetContainerd(), image)
	if err != nil {
		return 0, err
	}

	if !pulled {
		return 0, status.Errorf(codes.Internal, "upgrade failed: installer image %[1]q not found in containerd store: image %[1]q: not found", image)
	}

	err = l.front.runInstaller(image, fields, say)
	if errors.Is(err, errInstaller) {
		fields["error"] = err.Error()

		return 1, say("Error: " + err.Error())
	}

	return 0, err
}

// pulled asks the machine whether its containerd has the image.
func (m *machineService) pulled(ctx context.Context, containerd *common.ContainerdInstance, image string) (bool, error) {
	outgoing, connection, err := m.machine(ctx)
	if err != nil {
		return false, err
	}

	stream, err := machine.NewImageServiceClient(connection).List(outgoing, &machine.ImageServiceListRequest{Containerd: containerd})
	if err != nil {
		return false, err
	}

	found := false

	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return found, nil
		}

		if err != nil {
			return false, err
		}

		found = found || response.GetName() == image
	}
}

var errInstaller = errors.New("the installer refuses")

// runInstaller plays the installer: Talos's own check of versions, then the next boot takes up the image's system.
func (f *Front) runInstaller(image string, fields Fields, say func(string) error) error {
	next, err := SystemOf(image)
	if err != nil {
		return fmt.Errorf("%w: %w", errInstaller, err)
	}

	host := f.RunningVersion()
	fields["from"], fields["to"], fields["schematic"] = host, next.Version, next.Schematic

	for _, line := range []string{
		fmt.Sprintf("simulated installer of the lab: Talos %s, schematic %q", next.Version, next.Schematic), "running pre-flight checks", "host Talos version: " + host,
	} {
		if err = say(line); err != nil {
			return err
		}
	}

	if err = upgradeable(host, next.Version); err != nil {
		return fmt.Errorf("%w: pre-flight checks failed: %w", errInstaller, err)
	}

	if fault, readErr := os.ReadFile(f.upgradeFault); readErr == nil && strings.TrimSpace(string(fault)) == faultInstallFails {
		if err = os.Remove(f.upgradeFault); err != nil {
			return err
		}

		return fmt.Errorf("%w: failed to write the boot assets: no space left on device (a fault of the lab)", errInstaller)
	}

	systems, err := readSystems(f.systems)
	if err != nil {
		return err
	}

	systems.Next = &next

	if err = systems.write(f.systems); err != nil {
		return err
	}

	return say("all pre-flight checks successful\ninstallation of " + next.Version + " complete; the next boot takes it up")
}

// upgradeable is the check that an installer does before it writes: Talos's own table, and for later versions what it would say.
func upgradeable(host, installer string) error {
	from, err := compatibility.ParseTalosVersion(&machine.VersionInfo{Tag: host})
	if err != nil {
		return fmt.Errorf("error parsing host Talos version: %w", err)
	}

	to, err := compatibility.ParseTalosVersion(&machine.VersionInfo{Tag: installer})
	if err != nil {
		return fmt.Errorf("error parsing installer Talos version: %w", err)
	}

	known, later := semver.MustParse(strings.TrimPrefix(talosVersion, "v")), semver.MustParse(to.String())
	if later.Major != known.Major || later.Minor <= known.Minor {
		return to.UpgradeableFrom(from)
	}

	if old := semver.MustParse(from.String()); old.Major != later.Major || old.Minor+compatibleMinors < later.Minor {
		return fmt.Errorf("host version %s is too old to upgrade to Talos %s", from, to)
	}

	return nil
}

// Upgrade is the older call: it pulls, asks etcd, installs, and restarts the machine. Other than on metal, the node is not drained, and of
// etcd's members it is only asked how many there are and whether each was started.
func (m *machineService) Upgrade(ctx context.Context, request *machine.UpgradeRequest) (*machine.UpgradeResponse, error) {
	fields := Fields{"method": "legacy", "image": request.GetImage(), "stage": request.GetStage(), "force": request.GetForce()}

	err := m.upgradeLegacy(ctx, request, fields)
	if err != nil {
		fields["error"] = err.Error()
	}

	m.front.timeline.Record("upgrade-request", err == nil, fields)

	if err != nil {
		return nil, err
	}

	return &machine.UpgradeResponse{Messages: []*machine.Upgrade{{Ack: "Upgrade request received", ActorId: uuid.NewString()}}}, nil
}

func (m *machineService) upgradeLegacy(ctx context.Context, request *machine.UpgradeRequest, fields Fields) error {
	if err := requireRole(ctx, role.Admin); err != nil {
		return err
	}

	if _, installed, err := m.front.inventory.SystemDisk(ctx); err != nil {
		return err
	} else if !installed {
		return status.Error(codes.FailedPrecondition, "Talos is not installed")
	}

	if err := m.pull(ctx, request.GetImage()); err != nil {
		return status.Errorf(status.Code(err), "error validating installer image %q: %s", request.GetImage(), status.Convert(err).Message())
	}

	if m.stage == StageRunning && !request.GetForce() && !request.GetPreserve() {
		if err := m.etcdAllows(ctx); err != nil {
			return fmt.Errorf("error validating etcd for upgrade: %w", err)
		}
	}

	if err := m.front.runInstaller(request.GetImage(), fields, func(line string) error { log.Print(line); return nil }); err != nil {
		return err
	}

	return m.front.supervisor.Do("reboot")
}

func (m *machineService) pull(ctx context.Context, image string) error {
	outgoing, connection, err := m.machine(ctx)
	if err != nil {
		return err
	}

	stream, err := machine.NewImageServiceClient(connection).Pull(outgoing, &machine.ImageServicePullRequest{
		Containerd: &common.ContainerdInstance{Driver: common.ContainerDriver_CRI, Namespace: common.ContainerdNamespace_NS_SYSTEM}, ImageRef: image,
	})
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

func (m *machineService) etcdAllows(ctx context.Context) error {
	outgoing, connection, err := m.machine(ctx)
	if err != nil {
		return err
	}

	member, err := inEtcd(outgoing, connection)
	if err != nil || !member {
		return err
	}

	response, err := machine.NewMachineServiceClient(connection).EtcdMemberList(outgoing, &machine.EtcdMemberListRequest{})
	if err != nil {
		return err
	}

	for _, message := range response.GetMessages() {
		if len(message.GetMembers()) == 2 {
			return errors.New("etcd member count(2) is insufficient to maintain quorum if upgrade commences")
		}

		for _, each := range message.GetMembers() {
			if each.GetHostname() == "" {
				return fmt.Errorf("etcd member %016x is not started, all members must be running to perform an upgrade", each.GetId())
			}
		}
	}

	return nil
}

// Rollback has the next boot take up the system of before the last upgrade, and restarts the machine.
func (m *machineService) Rollback(ctx context.Context, _ *machine.RollbackRequest) (*machine.RollbackResponse, error) {
	err := m.rollback(ctx)
	fields := Fields{}

	if err != nil {
		fields["error"] = err.Error()
	}

	m.front.timeline.Record("rollback-request", err == nil, fields)

	if err != nil {
		return nil, err
	}

	return &machine.RollbackResponse{Messages: []*machine.Rollback{{}}}, nil
}

func (m *machineService) rollback(ctx context.Context) error {
	if err := requireRole(ctx, role.Admin); err != nil {
		return err
	}

	systems, err := readSystems(m.front.systems)
	if err != nil {
		return err
	}

	switch {
	case systems.Next != nil: // installed, and not yet booted
		systems.Next = nil
	case systems.Previous != nil:
		systems.Next = systems.Previous
	default:
		return status.Error(codes.FailedPrecondition, "there is no system to go back to: nothing was upgraded since the installation")
	}

	if err = systems.write(m.front.systems); err != nil {
		return err
	}

	return m.front.supervisor.Do("reboot")
}

// Version is the machine's answer, with the version of the (simulated) system that runs.
func (m *machineService) Version(ctx context.Context, request *emptypb.Empty) (*machine.VersionResponse, error) {
	outgoing, connection, err := m.machine(ctx)
	if err != nil {
		return nil, err
	}

	response, err := machine.NewMachineServiceClient(connection).Version(outgoing, request, grpc.WaitForReady(false))
	if err != nil {
		return nil, err
	}

	for _, message := range response.GetMessages() {
		if message.GetVersion() != nil {
			message.Version.Tag = m.front.RunningVersion()
		}
	}

	return response, nil
}
