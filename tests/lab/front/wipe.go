package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/siderolabs/go-blockdevice/v2/blkid"
	"github.com/siderolabs/go-blockdevice/v2/block"
	"github.com/siderolabs/go-blockdevice/v2/partitioning/gpt"
	"github.com/siderolabs/talos/pkg/machinery/api/storage"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// wipeTarget is a disk, or a partition of it.
type wipeTarget struct {
	device    string
	disk      Disk
	partition *Partition // nil: the whole disk
}

func (t wipeTarget) extent() (uint64, uint64) {
	if t.partition == nil {
		return 0, t.disk.SizeBytes
	}

	return t.partition.Offset, t.partition.Size
}

// BlockDeviceWipe wipes disks and partitions with Talos's methods, checks and texts (Talos: internal/app/storaged). As on metal it knows of
// volumes of Talos only: a disk that Ceph has open is wiped like any other.
func (s *storageService) BlockDeviceWipe(ctx context.Context, request *storage.BlockDeviceWipeRequest) (*storage.BlockDeviceWipeResponse, error) {
	if s.stage != StageMaintenance {
		if err := requireRole(ctx, role.Admin); err != nil {
			return nil, err
		}
	}

	targets := make([]wipeTarget, 0, len(request.GetDevices()))

	for _, descriptor := range request.GetDevices() {
		target, err := s.wipeable(ctx, descriptor)
		if err != nil {
			s.front.timeline.Record("disk-wipe-refused", false, Fields{"device": descriptor.GetDevice(), "error": err.Error()})

			return nil, err
		}

		targets = append(targets, target)
	}

	for index, target := range targets {
		descriptor := request.GetDevices()[index]

		if err := wipe(target, descriptor.GetMethod(), descriptor.GetDropPartition()); err != nil {
			return nil, err
		}

		s.front.timeline.Record("disk-wiped", true, Fields{
			"disk": target.disk.Name, "device": target.device, "serial": target.disk.Serial, "method": descriptor.GetMethod().String(),
		})
	}

	if err := s.front.inventory.Scan(ctx); err != nil {
		return nil, err
	}

	return &storage.BlockDeviceWipeResponse{Messages: []*storage.BlockDeviceWipe{{}}}, nil
}

// wipeable finds the device, and refuses one that is read-only or in use.
func (s *storageService) wipeable(ctx context.Context, descriptor *storage.BlockDeviceWipeDescriptor) (wipeTarget, error) {
	target, err := s.wipeTarget(ctx, descriptor.GetDevice())
	if err != nil {
		return target, err
	}

	if target.disk.Readonly {
		return target, status.Errorf(codes.FailedPrecondition, "blockdevice %q is read-only", target.device)
	}

	if descriptor.GetSkipVolumeCheck() {
		return target, nil
	}

	volumes, err := s.volumes(ctx, target.disk)
	if err != nil {
		return target, err
	}

	for _, volume := range volumes {
		if target.partition == nil || volume == target.partition.Label {
			return target, status.Errorf(codes.FailedPrecondition, "blockdevice %q is in use by volume %q", target.device, volume)
		}
	}

	return target, nil
}

func (s *storageService) wipeTarget(ctx context.Context, device string) (wipeTarget, error) {
	for _, disk := range s.front.inventory.Disks() {
		if disk.Name == device {
			return wipeTarget{device: device, disk: disk}, nil
		}

		partitions, err := s.front.inventory.Partitions(ctx, disk)
		if err != nil {
			return wipeTarget{}, err
		}

		if partition, ok := partitions[device]; ok {
			return wipeTarget{device: device, disk: disk, partition: &partition}, nil
		}
	}

	return wipeTarget{}, status.Errorf(codes.NotFound, "blockdevice %q not found", device)
}

// volumes are those that Talos has on the disk, in the order of their names: META once it is installed, STATE and EPHEMERAL once it is configured.
func (s *storageService) volumes(ctx context.Context, disk Disk) ([]string, error) {
	system, installed, err := s.front.inventory.SystemDisk(ctx)
	if err != nil || !installed || system.Name != disk.Name {
		return nil, err
	}

	if s.stage == StageMaintenance {
		return []string{constants.MetaPartitionLabel}, nil
	}

	return []string{constants.EphemeralPartitionLabel, constants.MetaPartitionLabel, constants.StatePartitionLabel}, nil
}

func wipe(target wipeTarget, method storage.BlockDeviceWipeDescriptor_Method, dropPartition bool) error {
	offset, size := target.extent()

	var err error

	switch method {
	case storage.BlockDeviceWipeDescriptor_ZEROES:
		err = WipeZeroes(target.disk, offset, size)
	case storage.BlockDeviceWipeDescriptor_FAST:
		err = WipeFast(target.disk, offset, size)
	default:
		return status.Errorf(codes.InvalidArgument, "unsupported wipe method %s", method)
	}

	if err == nil && dropPartition && target.partition != nil {
		err = deletePartition(target.disk, target.partition.Number)
	}

	if err != nil {
		return status.Errorf(codes.Internal, "failed to wipe block device %q: %v", target.device, err)
	}

	return nil
}

// WipeZeroes clears a range of the disk.
func WipeZeroes(disk Disk, offset, size uint64) error {
	return clearRanges(disk, block.Range{Offset: offset, Size: size})
}

// WipeFast clears what Talos's fast method does: the signatures that a probe finds, and the first and the last MiB. What else is there stays, such as
// the later labels of BlueStore. Talos discards the blocks first, which may or may not clear them; here it does not.
func WipeFast(disk Disk, offset, size uint64) error {
	ranges := []block.Range{{Offset: offset, Size: min(size, block.FastWipeRange)}}

	if size >= 2*block.FastWipeRange {
		ranges = append(ranges, block.Range{Offset: offset + size - block.FastWipeRange, Size: block.FastWipeRange})
	}

	if info, err := blkid.ProbePath(disk.Path, blkid.WithSectorSize(sectorSize)); err == nil {
		for _, signature := range info.SignatureRanges {
			if signature.Offset >= offset && signature.Offset+signature.Size <= offset+size {
				ranges = append(ranges, block.Range(signature))
			}
		}
	}

	return clearRanges(disk, ranges...)
}

// clearRanges makes holes, so that the file stays sparse.
func clearRanges(disk Disk, ranges ...block.Range) error {
	file, err := os.OpenFile(disk.Path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck

	for _, each := range ranges {
		err = unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, int64(each.Offset), int64(each.Size))
		if err != nil {
			return fmt.Errorf("%s at %d, %d bytes: %w", disk.Path, each.Offset, each.Size, err)
		}
	}

	return file.Sync()
}

func deletePartition(disk Disk, number int) error {
	file, err := os.OpenFile(disk.Path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck

	device, err := gpt.DeviceFromFile(file)
	if err != nil {
		return err
	}

	table, err := gpt.Read(device)
	if err != nil {
		return err
	}

	if err = table.DeletePartition(number - 1); err != nil {
		return err
	}

	return errors.Join(table.Write(), file.Sync())
}
