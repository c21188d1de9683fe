package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	cosiclient "github.com/cosi-project/runtime/pkg/state/protobuf/client"
	"github.com/google/uuid"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/config"
	"github.com/siderolabs/talos/pkg/machinery/config/configloader"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	configresource "github.com/siderolabs/talos/pkg/machinery/resources/config"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

const (
	stopTimeout  = 90 * time.Second // for a machine to stop after a reset was accepted
	startTimeout = 60 * time.Second // for a machine to take up its first configuration
)

// ApplyConfiguration judges the install disk, passes the configuration to the machine, and then does what container mode leaves out.
func (m *machineService) ApplyConfiguration(ctx context.Context, request *machine.ApplyConfigurationRequest) (*machine.ApplyConfigurationResponse, error) {
	if !m.applying.TryLock() {
		return nil, status.Error(codes.FailedPrecondition, "another apply configuration is already in progress")
	}
	defer m.applying.Unlock()

	fields := Fields{"mode": strings.ToLower(request.GetMode().String()), "dry_run": request.GetDryRun(), "stage": m.stage.String()}

	response, disk, image, err := m.apply(ctx, request)
	if err != nil {
		fields["error"] = err.Error()
	}

	m.front.timeline.Record("apply-configuration", err == nil && !request.GetDryRun(), fields)

	if err != nil || request.GetDryRun() {
		return response, err
	}

	if err = m.front.identity.Adopt(); err != nil {
		return nil, fmt.Errorf("front: the machine has the configuration, but its CA cannot be kept: %w", err)
	}

	if disk == nil {
		return response, nil
	}

	if err = Install(*disk); err != nil {
		return nil, fmt.Errorf("front: the machine has the configuration, but the installation onto %s failed: %w", disk.DevPath(), err)
	}

	if err = m.front.InstallSystem(image); err != nil {
		return nil, err
	}

	m.front.timeline.Record("install", true, Fields{"disk": disk.Name, "serial": disk.Serial, "image": image})

	if err = m.front.inventory.Scan(ctx); err != nil {
		return nil, err
	}

	if m.front.installReboot {
		go m.front.restartAfterInstall()
	}

	return response, nil
}

// apply returns the machine's answer, and the disk to install onto, if that is due, with the installer's image.
func (m *machineService) apply(
	ctx context.Context, request *machine.ApplyConfigurationRequest,
) (*machine.ApplyConfigurationResponse, *Disk, string, error) {
	outgoing, connection, err := m.machine(ctx)
	if err != nil {
		return nil, nil, "", err
	}

	var (
		disk  *Disk
		image string
	)

	// What cannot be read is left to the machine to refuse.
	provider, err := configloader.NewFromBytes(request.GetData())
	if err == nil && provider.RawV1Alpha1() != nil {
		if disk, err = m.installDisk(ctx, provider); err != nil {
			return nil, nil, "", status.Error(codes.InvalidArgument, err.Error())
		}

		if disk != nil {
			image = provider.Machine().Install().Image()
		}

		if ca := provider.Machine().Security().IssuingCA(); ca != nil && !request.GetDryRun() {
			if err = m.front.identity.Expect(ca.Crt, ca.Key); err != nil {
				return nil, nil, "", status.Error(codes.InvalidArgument, err.Error())
			}
		}
	}

	response, err := machine.NewMachineServiceClient(connection).ApplyConfiguration(outgoing, request)
	if err != nil {
		m.front.identity.Dismiss()
	}

	return response, disk, image, err
}

// installDisk is nil when Talos would not install: the machine runs a configuration, or Talos is on a disk already.
func (m *machineService) installDisk(ctx context.Context, provider config.Provider) (*Disk, error) {
	if m.stage != StageMaintenance {
		return nil, nil //nolint:nilnil
	}

	if _, installed, err := m.front.inventory.SystemDisk(ctx); err != nil || installed {
		return nil, err
	}

	disk, err := ChooseInstallDisk(ctx, m.front.inventory, provider)
	if err != nil {
		return nil, err
	}

	return &disk, nil
}

// restartAfterInstall has the machine restarted as Talos does after an installation: before it has taken up its configuration, but after
// it has written it to its state.
func (f *Front) restartAfterInstall() {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()

	err := f.waitForConfiguration(ctx)
	if err == nil {
		err = f.supervisor.PowerCycle(ctx)
	}

	fields := Fields{}

	if err != nil {
		log.Printf("restart after installation: %v", err)

		fields["error"] = err.Error()
	}

	f.timeline.Record("install-reboot", err == nil, fields)
}

// waitForConfiguration waits until the machine's STATE has a whole configuration.
func (f *Front) waitForConfiguration(ctx context.Context) error {
	for {
		content, err := os.ReadFile(f.configuration)
		if err == nil {
			var provider config.Provider

			if provider, err = configloader.NewFromBytes(content); err == nil && provider.RawV1Alpha1() != nil {
				return nil
			}
		}

		select {
		case <-time.After(pollInterval):
		case <-ctx.Done():
			return fmt.Errorf("no configuration in %s: %w", f.configuration, errors.Join(err, ctx.Err()))
		}
	}
}

// Bootstrap is passed on and recorded.
func (m *machineService) Bootstrap(ctx context.Context, request *machine.BootstrapRequest) (*machine.BootstrapResponse, error) {
	var response *machine.BootstrapResponse

	outgoing, connection, err := m.machine(ctx)
	if err == nil {
		response, err = machine.NewMachineServiceClient(connection).Bootstrap(outgoing, request)
	}

	fields := Fields{}
	if err != nil {
		fields["error"] = err.Error()
	}

	m.front.timeline.Record("bootstrap", err == nil, fields)

	return response, err
}

// Reboot has the machine stopped in order and started again by its supervisor: container mode refuses the call. All modes do the same.
func (m *machineService) Reboot(ctx context.Context, request *machine.RebootRequest) (*machine.RebootResponse, error) {
	actor, err := m.power(ctx, "reboot", Fields{"mode": strings.ToLower(request.GetMode().String())})

	return &machine.RebootResponse{Messages: []*machine.Reboot{{ActorId: actor}}}, err
}

// Shutdown has the machine stopped in order by its supervisor: container mode refuses the call. Other than on metal, the node is not drained.
func (m *machineService) Shutdown(ctx context.Context, request *machine.ShutdownRequest) (*machine.ShutdownResponse, error) {
	actor, err := m.power(ctx, "poweroff", Fields{"force": request.GetForce()})

	return &machine.ShutdownResponse{Messages: []*machine.Shutdown{{ActorId: actor}}}, err
}

// power gives the supervisor a command, records it, and returns an ID as Talos gives one to who asked.
func (m *machineService) power(ctx context.Context, command string, fields Fields) (string, error) {
	err := requireRole(ctx, role.Admin, role.Operator)
	if err == nil {
		err = m.front.supervisor.Do(command)
	}

	if err != nil {
		fields["error"] = err.Error()
	}

	m.front.timeline.Record(command+"-request", err == nil, fields)

	return uuid.NewString(), err
}

// Reset leaves etcd when it is asked to be graceful, has the machine stop (all that Talos's container mode does in a reset), and once it
// has stopped, wipes what was asked for and has it started again.
//
// Other than on metal, a failure to leave etcd is the answer of the call, instead of an event some time later, and pods are not drained.
func (m *machineService) Reset(ctx context.Context, request *machine.ResetRequest) (*machine.ResetResponse, error) {
	plan, err := m.planReset(ctx, request)

	var response *machine.ResetResponse

	fields := Fields{"graceful": request.GetGraceful(), "reboot": request.GetReboot(), "mode": strings.ToLower(request.GetMode().String())}

	if err == nil {
		response, err = m.startReset(ctx, request)
	}

	if err != nil {
		fields["error"] = err.Error()
	}

	m.front.timeline.Record("reset-request", err == nil, fields)

	if err == nil {
		go m.front.finishReset(plan)
	}

	return response, err
}

// resetPlan is what is to be done once the machine has stopped.
type resetPlan struct {
	system     *Disk    // to be wiped; nil: none
	partitions []string // of the system disk, by label; empty: the whole disk
	users      []Disk   // to be wiped
	state      bool     // STATE and EPHEMERAL
	reboot     bool     // otherwise the machine stays off
}

func (m *machineService) planReset(ctx context.Context, request *machine.ResetRequest) (resetPlan, error) {
	plan := resetPlan{reboot: request.GetReboot(), state: request.GetMode() != machine.ResetRequest_USER_DISKS}

	if err := requireRole(ctx, role.Admin); err != nil {
		return plan, err
	}

	system, installed, err := m.front.inventory.SystemDisk(ctx)
	if err != nil {
		return plan, err
	}

	if len(request.GetUserDisksToWipe()) > 0 && request.GetMode() == machine.ResetRequest_SYSTEM_DISK {
		return plan, errors.New("reset failed: invalid input, wipe mode SYSTEM_DISK doesn't support UserDisksToWipe parameter")
	}

	for _, path := range request.GetUserDisksToWipe() {
		disk, ok := m.front.inventory.FindByPath(path)
		if !ok || disk.DevPath() != path {
			return plan, fmt.Errorf("reset user disk failed: device %s wasn't found", path)
		}

		if installed && disk.Name == system.Name {
			return plan, fmt.Errorf("reset user disk failed: device %s is the system disk", path)
		}

		plan.users = append(plan.users, disk)
	}

	if !plan.state {
		if len(request.GetSystemPartitionsToWipe()) > 0 {
			return plan, errors.New("reset failed: invalid input, wipe mode USER_DISKS doesn't support SystemPartitionsToWipe parameter")
		}

		return plan, nil
	}

	if installed {
		plan.system = &system
	}

	for _, partition := range request.GetSystemPartitionsToWipe() {
		if !slices.Contains([]string{constants.StatePartitionLabel, constants.EphemeralPartitionLabel, constants.MetaPartitionLabel}, partition.GetLabel()) {
			return plan, fmt.Errorf("failed to get volume status with label %q: resource doesn't exist", partition.GetLabel())
		}

		if partition.GetWipe() {
			plan.partitions = append(plan.partitions, partition.GetLabel())
		}
	}

	if len(plan.partitions) > 0 && !(slices.Contains(plan.partitions, constants.StatePartitionLabel) && slices.Contains(plan.partitions, constants.EphemeralPartitionLabel)) {
		return plan, status.Errorf(codes.Unimplemented, "the lab wipes STATE and EPHEMERAL together only, not %s", strings.Join(plan.partitions, ", "))
	}

	return plan, nil
}

// startReset leaves etcd, and has the machine stop.
func (m *machineService) startReset(ctx context.Context, request *machine.ResetRequest) (*machine.ResetResponse, error) {
	outgoing, connection, err := m.machine(ctx)
	if err != nil {
		return nil, err
	}

	client := machine.NewMachineServiceClient(connection)

	if request.GetGraceful() {
		member, err := inEtcd(outgoing, connection)
		if err != nil {
			return nil, err
		}

		if member {
			if _, err = client.EtcdLeaveCluster(outgoing, &machine.EtcdLeaveClusterRequest{}); err != nil {
				return nil, status.Errorf(status.Code(err), "failed to leave etcd: %s", status.Convert(err).Message())
			}

			m.front.timeline.Record("etcd-left", true, nil)
		}
	}

	// Without the disks: container mode knows of none.
	return client.Reset(outgoing, &machine.ResetRequest{Graceful: request.GetGraceful(), Reboot: request.GetReboot(), Mode: request.GetMode()})
}

// inEtcd tells whether the machine is a control plane whose etcd runs.
func inEtcd(ctx context.Context, connection *grpc.ClientConn) (bool, error) {
	resources := state.WrapCore(cosiclient.NewAdapter(v1alpha1.NewStateClient(connection)))

	kind, err := safe.StateGetByID[*configresource.MachineType](ctx, resources, configresource.MachineTypeID)
	if state.IsNotFoundError(err) {
		return false, nil
	}

	if err != nil {
		return false, err
	}

	if !kind.MachineType().IsControlPlane() {
		return false, nil
	}

	services, err := machine.NewMachineServiceClient(connection).ServiceList(ctx, &emptypb.Empty{})
	if err != nil {
		return false, err
	}

	for _, message := range services.GetMessages() {
		for _, service := range message.GetServices() {
			if service.GetId() == "etcd" && service.GetState() == "Running" {
				return true, nil
			}
		}
	}

	return false, nil
}

// finishReset waits until the machine has stopped, wipes, and has it started again.
func (f *Front) finishReset(plan resetPlan) {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()

	if err := f.WaitForStage(ctx, func(stage Stage) bool { return stage == StageDown }); err != nil {
		log.Printf("reset: the machine has not stopped, it is cut off: %v", err)
	}

	if err := f.wipe(plan); err != nil {
		log.Printf("reset: %v", err)
		f.timeline.Record("reset-failed", true, Fields{"error": err.Error()})

		return
	}

	f.timeline.Record("reset-wiped", true, Fields{"partitions": plan.partitions, "system": plan.system != nil, "user_disks": len(plan.users)})

	for _, command := range plan.commands() {
		if err := f.supervisor.Do(command); err != nil {
			log.Printf("reset: %v", err)
		}
	}
}

// commands are those for the supervisor. A machine that stays off is emptied when it is switched on again.
func (p resetPlan) commands() []string {
	var commands []string

	switch {
	case p.state:
		commands = append(commands, "reset")
	case p.reboot:
		commands = append(commands, "reboot")
	}

	if !p.reboot {
		commands = append(commands, "poweroff")
	}

	return commands
}

func (f *Front) wipe(plan resetPlan) error {
	for _, disk := range plan.users {
		if err := WipeFast(disk, 0, disk.SizeBytes); err != nil {
			return err
		}
	}

	if plan.system != nil && len(plan.partitions) == 0 {
		if err := WipeZeroes(*plan.system, 0, plan.system.SizeBytes); err != nil {
			return err
		}
	}

	if plan.system != nil {
		partitions, err := f.inventory.Partitions(context.Background(), *plan.system)
		if err != nil {
			return err
		}

		for _, partition := range partitions {
			if !slices.Contains(plan.partitions, partition.Label) {
				continue
			}

			if err = WipeFast(*plan.system, partition.Offset, partition.Size); err != nil {
				return err
			}
		}
	}

	if plan.state {
		if err := f.identity.Forget(); err != nil {
			return err
		}
	}

	return f.inventory.Scan(context.Background())
}
