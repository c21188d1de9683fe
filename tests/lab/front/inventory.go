package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/cosi-project/runtime/pkg/state/impl/inmem"
	"github.com/cosi-project/runtime/pkg/state/impl/namespaced"
	"github.com/siderolabs/go-blockdevice/v2/blkid"
	"github.com/siderolabs/go-blockdevice/v2/partitioning"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"github.com/siderolabs/talos/pkg/machinery/resources/block"
	"github.com/siderolabs/talos/pkg/machinery/resources/hardware"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
)

const (
	sectorSize  = 512
	scanSeconds = 1
)

// Disk is an entry of disks.json. Path is the sparse file that stands for the disk.
type Disk struct {
	Name       string   `json:"name"`
	Path       string   `json:"path"`
	SizeBytes  uint64   `json:"size_bytes"`
	Serial     string   `json:"serial"`
	WWID       string   `json:"wwid"`
	Model      string   `json:"model"`
	Transport  string   `json:"transport"`
	Rotational bool     `json:"rotational"`
	Readonly   bool     `json:"readonly"`
	ByID       []string `json:"by_id"`
}

// DevPath is the disk's path in the machine.
func (d Disk) DevPath() string {
	return filepath.Join("/dev", d.Name)
}

// Symlinks are the disk's other paths in the machine that its identity gives it.
func (d Disk) Symlinks() []string {
	links := make([]string, 0, len(d.ByID))

	for _, name := range d.ByID {
		if !strings.HasPrefix(name, "/") {
			name = filepath.Join("/dev/disk/by-id", name)
		}

		links = append(links, name)
	}

	return links
}

// Inventory keeps Talos's block resources of the machine's disks: BlockDevice, Disk, BlockSymlink, DiscoveredVolume and SystemDisk. Volumes
// are found as Talos finds them: each disk's file is probed by Talos's own go-blockdevice.
type Inventory struct {
	State state.State
	path  string // disks.json

	mu     sync.Mutex
	disks  []Disk
	stamps map[string]string // by disk name: what the last probe saw of the file
}

// ResourceTypes are the types that the inventory answers for.
var ResourceTypes = []resource.Type{
	block.DeviceType, block.DiskType, block.SymlinkType, block.DiscoveredVolumeType, block.SystemDiskType,
	hardware.SystemInformationType, runtime.VersionType,
}

// NewInventory reads disks.json and probes the disks once.
func NewInventory(path string) (*Inventory, error) {
	inventory := &Inventory{
		State:  state.WrapCore(namespaced.NewState(inmem.Build)),
		path:   path,
		stamps: map[string]string{},
	}

	return inventory, inventory.Scan(context.Background())
}

// Run scans again every second what has changed: disks.json, or a disk's file.
func (i *Inventory) Run(ctx context.Context) {
	ticker := time.NewTicker(scanSeconds * time.Second)
	defer ticker.Stop()

	failed := ""

	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}

		err := i.Scan(ctx)

		if err != nil && err.Error() != failed {
			log.Printf("disks: %v", err)
		}

		if failed = ""; err != nil {
			failed = err.Error()
		}
	}
}

// Find returns the disk of that name.
func (i *Inventory) Find(name string) (Disk, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()

	for _, disk := range i.disks {
		if disk.Name == name {
			return disk, true
		}
	}

	return Disk{}, false
}

// FindByPath returns the disk that has this path (or symbolic link) in the machine.
func (i *Inventory) FindByPath(path string) (Disk, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()

	for _, disk := range i.disks {
		if disk.DevPath() == path || slices.Contains(disk.Symlinks(), path) {
			return disk, true
		}
	}

	return Disk{}, false
}

// SystemDisk returns the disk that Talos is installed on: as in Talos, the one with a partition META.
func (i *Inventory) SystemDisk(ctx context.Context) (Disk, bool, error) {
	found, err := safe.StateGetByID[*block.SystemDisk](ctx, i.State, block.SystemDiskID)
	if state.IsNotFoundError(err) {
		return Disk{}, false, nil
	}

	if err != nil {
		return Disk{}, false, err
	}

	disk, ok := i.Find(found.TypedSpec().DiskID)

	return disk, ok, nil
}

// Scan brings the resources up to date.
func (i *Inventory) Scan(ctx context.Context) error {
	i.mu.Lock()
	defer i.mu.Unlock()

	content, err := os.ReadFile(i.path)
	if err != nil {
		return err
	}

	var disks []Disk

	if err = json.Unmarshal(content, &disks); err != nil {
		return fmt.Errorf("%s: %w", i.path, err)
	}

	i.disks = disks

	var failed error // one disk that cannot be read does not hide the others

	for index, disk := range disks {
		if err = i.scanDisk(ctx, index, disk); err != nil {
			failed = errors.Join(failed, fmt.Errorf("disk %s (%s): %w", disk.Name, disk.Path, err))
		}
	}

	for name := range i.stamps {
		if !slices.ContainsFunc(disks, func(disk Disk) bool { return disk.Name == name }) {
			delete(i.stamps, name)

			if err = i.removeDisk(ctx, name); err != nil {
				return err
			}
		}
	}

	return errors.Join(failed, i.noteSystemDisk(ctx))
}

func (i *Inventory) scanDisk(ctx context.Context, index int, disk Disk) error {
	file, err := os.Stat(disk.Path)
	if err != nil {
		return err
	}

	description, err := json.Marshal(disk)
	if err != nil {
		return err
	}

	stamp := fmt.Sprintf("%s %d %d", description, file.ModTime().UnixNano(), file.Size())
	if i.stamps[disk.Name] == stamp {
		return nil
	}

	info, err := blkid.ProbePath(disk.Path, blkid.WithSectorSize(sectorSize))
	if err != nil {
		return err
	}

	wanted := append(describe(index, disk, append(disk.Symlinks(), contentSymlinks(info.ProbeResult)...)), discovered(disk, info)...)

	for _, each := range wanted {
		if err = put(ctx, i.State, each); err != nil {
			return err
		}
	}

	if err = i.removePartitions(ctx, disk.Name, wanted); err != nil {
		return err
	}

	i.stamps[disk.Name] = stamp

	return nil
}

// describe makes the resources that come from the description of the disk.
func describe(index int, disk Disk, symlinks []string) []resource.Resource {
	device := block.NewDevice(block.NamespaceName, disk.Name)
	*device.TypedSpec() = block.DeviceSpec{
		Type: block.DeviceTypeDisk, Major: 8, Minor: 16 * index, DevicePath: busPath(index, disk), Generation: 1,
	}

	whole := block.NewDisk(block.NamespaceName, disk.Name)
	*whole.TypedSpec() = block.DiskSpec{
		DevPath: disk.DevPath(), IOSize: sectorSize, SectorSize: sectorSize, Model: disk.Model, Serial: disk.Serial, WWID: disk.WWID,
		BusPath: busPath(index, disk), SubSystem: "/sys/class/block", Transport: disk.Transport, Rotational: disk.Rotational, Readonly: disk.Readonly,
		Symlinks: symlinks,
	}
	whole.TypedSpec().SetSize(disk.SizeBytes)

	links := block.NewSymlink(block.NamespaceName, disk.Name)
	links.TypedSpec().Paths = symlinks

	return []resource.Resource{device, whole, links}
}

// contentSymlinks are the links that udev makes to a whole disk for what is on it, by its rules for persistent storage and for LVM.
func contentSymlinks(probed blkid.ProbeResult) []string {
	label := ""
	if probed.Label != nil {
		label = *probed.Label
	}

	if probed.Name == "lvm2-pv" {
		return []string{"/dev/disk/by-id/lvm-pv-uuid-" + label} // go-blockdevice has LVM's identifier as a label
	}

	var links []string

	if probed.UUID != nil && probed.Name != "gpt" {
		links = append(links, "/dev/disk/by-uuid/"+probed.UUID.String())
	}

	if label != "" {
		links = append(links, "/dev/disk/by-label/"+label)
	}

	return links
}

func busPath(index int, disk Disk) string {
	return fmt.Sprintf("/pci0000:00/0000:00:%02x.0/%s", index+1, disk.Name)
}

// discovered makes the resources that come from a probe, as Talos's DiscoveryController does.
func discovered(disk Disk, info *blkid.Info) []resource.Resource {
	whole := block.NewDiscoveredVolume(block.NamespaceName, disk.Name)
	spec := whole.TypedSpec()
	spec.DevPath, spec.Type, spec.SectorSize, spec.IOSize = disk.DevPath(), block.DeviceTypeDisk, info.SectorSize, info.IOSize
	spec.SetSize(info.Size)
	fill(spec, info.ProbeResult)

	result := []resource.Resource{whole}

	for _, part := range info.Parts {
		name := partitioning.DevName(disk.Name, part.PartitionIndex)

		device := block.NewDevice(block.NamespaceName, name)
		*device.TypedSpec() = block.DeviceSpec{
			Type: block.DeviceTypePartition, Major: 8, PartitionNumber: int(part.PartitionIndex), Parent: disk.Name, Generation: 1,
		}

		volume := block.NewDiscoveredVolume(block.NamespaceName, name)
		spec := volume.TypedSpec()
		spec.DevPath, spec.Type, spec.SectorSize, spec.IOSize = filepath.Join("/dev", name), block.DeviceTypePartition, info.SectorSize, info.IOSize
		spec.Parent, spec.ParentDevPath, spec.Offset, spec.PartitionIndex = disk.Name, disk.DevPath(), part.PartitionOffset, part.PartitionIndex
		spec.SetSize(part.PartitionSize)
		fill(spec, part.ProbeResult)

		if part.PartitionUUID != nil {
			spec.PartitionUUID = part.PartitionUUID.String()
		}

		if part.PartitionType != nil {
			spec.PartitionType = part.PartitionType.String()
		}

		if part.PartitionLabel != nil {
			spec.PartitionLabel = *part.PartitionLabel
			device.TypedSpec().PartitionName = *part.PartitionLabel
		}

		result = append(result, device, volume)
	}

	return result
}

func fill(spec *block.DiscoveredVolumeSpec, probed blkid.ProbeResult) {
	spec.Name, spec.BlockSize, spec.FilesystemBlockSize, spec.ProbedSize = probed.Name, probed.BlockSize, probed.FilesystemBlockSize, probed.ProbedSize

	if probed.UUID != nil {
		spec.UUID = probed.UUID.String()
	}

	if probed.Label != nil {
		spec.Label = *probed.Label
	}
}

// put creates or updates a resource, and leaves one alone that is right already.
func put(ctx context.Context, st state.State, wanted resource.Resource) error {
	current, err := st.Get(ctx, wanted.Metadata())
	if state.IsNotFoundError(err) {
		return st.Create(ctx, wanted)
	}

	if err != nil {
		return err
	}

	wanted.Metadata().SetVersion(current.Metadata().Version())
	wanted.Metadata().SetCreated(current.Metadata().Created())
	wanted.Metadata().SetUpdated(current.Metadata().Updated())

	if resource.Equal(current, wanted) {
		return nil
	}

	return st.Update(ctx, wanted)
}

// removePartitions removes the resources of partitions of the disk that are not among the wanted ones.
func (i *Inventory) removePartitions(ctx context.Context, disk string, wanted []resource.Resource) error {
	keep := func(kind resource.Type, id resource.ID) bool {
		return slices.ContainsFunc(wanted, func(each resource.Resource) bool {
			return each.Metadata().Type() == kind && each.Metadata().ID() == id
		})
	}

	volumes, err := safe.StateListAll[*block.DiscoveredVolume](ctx, i.State)
	if err != nil {
		return err
	}

	for volume := range volumes.All() {
		if volume.TypedSpec().Parent == disk && !keep(block.DiscoveredVolumeType, volume.Metadata().ID()) {
			if err = i.State.Destroy(ctx, volume.Metadata()); err != nil {
				return err
			}
		}
	}

	devices, err := safe.StateListAll[*block.Device](ctx, i.State)
	if err != nil {
		return err
	}

	for device := range devices.All() {
		if device.TypedSpec().Parent == disk && !keep(block.DeviceType, device.Metadata().ID()) {
			if err = i.State.Destroy(ctx, device.Metadata()); err != nil {
				return err
			}
		}
	}

	return nil
}

func (i *Inventory) removeDisk(ctx context.Context, name string) error {
	if err := i.removePartitions(ctx, name, nil); err != nil {
		return err
	}

	for _, metadata := range []*resource.Metadata{
		block.NewDiscoveredVolume(block.NamespaceName, name).Metadata(),
		block.NewSymlink(block.NamespaceName, name).Metadata(),
		block.NewDisk(block.NamespaceName, name).Metadata(),
		block.NewDevice(block.NamespaceName, name).Metadata(),
	} {
		if err := i.State.Destroy(ctx, metadata); err != nil && !state.IsNotFoundError(err) {
			return err
		}
	}

	return nil
}

func (i *Inventory) noteSystemDisk(ctx context.Context) error {
	volumes, err := safe.StateListAll[*block.DiscoveredVolume](ctx, i.State)
	if err != nil {
		return err
	}

	system := block.NewSystemDisk(block.NamespaceName, block.SystemDiskID)

	for volume := range volumes.All() {
		if volume.TypedSpec().PartitionLabel == constants.MetaPartitionLabel {
			*system.TypedSpec() = block.SystemDiskSpec{DiskID: volume.TypedSpec().Parent, DevPath: volume.TypedSpec().ParentDevPath}

			return put(ctx, i.State, system)
		}
	}

	if err = i.State.Destroy(ctx, system.Metadata()); err != nil && !state.IsNotFoundError(err) {
		return err
	}

	return nil
}

// Disks returns all disks.
func (i *Inventory) Disks() []Disk {
	i.mu.Lock()
	defer i.mu.Unlock()

	return slices.Clone(i.disks)
}

// Partition is one of a disk's partitions: where it is on the disk.
type Partition struct {
	Label  string
	Number int
	Offset uint64
	Size   uint64
}

// Partitions returns the disk's partitions by their names (sda1).
func (i *Inventory) Partitions(ctx context.Context, disk Disk) (map[string]Partition, error) {
	volumes, err := safe.StateListAll[*block.DiscoveredVolume](ctx, i.State)
	if err != nil {
		return nil, err
	}

	found := map[string]Partition{}

	for volume := range volumes.All() {
		spec := volume.TypedSpec()

		if spec.Parent == disk.Name {
			found[volume.Metadata().ID()] = Partition{
				Label: spec.PartitionLabel, Number: int(spec.PartitionIndex), Offset: spec.Offset, Size: spec.Size,
			}
		}
	}

	return found, nil
}
