package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/google/uuid"
	"github.com/siderolabs/go-blockdevice/v2/partitioning/gpt"
	"github.com/siderolabs/talos/pkg/machinery/config"
	"github.com/siderolabs/talos/pkg/machinery/config/types/block/blockhelpers"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"github.com/siderolabs/talos/pkg/machinery/imager/quirks"
)

// The installation is simulated: container mode skips it, and machine and disk have nothing to do with each other. The front judges the
// configuration's install disk as Talos does on metal, writes Talos's partition table onto the file of the chosen disk (real GPT, Talos's
// sizes; empty partitions but for the mark of META), and has the machine restarted, as Talos restarts after an installation. The
// system itself stays where the lab put it: machine state in the directories state and var of the machine.

const (
	talosVersion = "v1.13.8" // whose partition sizes are written

	metaMagicStart uint32 = 0x5a4b3c2d // as in Talos, internal/pkg/meta/internal/adv/talos
	metaMagicEnd   uint32 = 0xa5b4c3d2
	metaLength            = 256 * 1024
)

var (
	typeEFI   = uuid.MustParse("C12A7328-F81F-11D2-BA4B-00A0C93EC93B")
	typeBIOS  = uuid.MustParse("21686148-6449-6E6F-744E-656564454649")
	typeLinux = uuid.MustParse("0FC63DAF-8483-4772-8E79-3D69D8477DE4")
)

// ChooseInstallDisk returns the disk that Talos would install onto, or the error that Talos gives on metal. That is when the configuration
// is validated (InvalidArgument) for a missing install section or disk and a selector without match; Talos finds an unknown path in
// install.disk only while it installs. Here all three are refused at once. Of several matches Talos takes the first, so does the front.
func ChooseInstallDisk(ctx context.Context, inventory *Inventory, provider config.Provider) (Disk, error) {
	machineConfig := provider.RawV1Alpha1().MachineConfig
	if machineConfig == nil || machineConfig.MachineInstall == nil {
		return Disk{}, fmt.Errorf("install instructions are required in %q mode", "metal")
	}

	expression, err := machineConfig.MachineInstall.DiskMatchExpression()
	if err != nil {
		return Disk{}, fmt.Errorf("install disk selector is invalid: %w", err)
	}

	if expression != nil {
		matched, err := blockhelpers.MatchDisks(ctx, inventory.State, expression)
		if err != nil {
			return Disk{}, err
		}

		if len(matched) == 0 {
			return Disk{}, fmt.Errorf("no disks matched the expression: %s", expression)
		}

		disk, ok := inventory.Find(matched[0].Metadata().ID())
		if !ok {
			return Disk{}, fmt.Errorf("disk %s is gone", matched[0].Metadata().ID())
		}

		return disk, nil
	}

	path := machineConfig.MachineInstall.InstallDisk
	if path == "" {
		return Disk{}, errors.New("either install disk or diskSelector should be defined")
	}

	disk, ok := inventory.FindByPath(path)
	if !ok {
		return Disk{}, fmt.Errorf("lstat %s: no such file or directory", path)
	}

	return disk, nil
}

// Install writes Talos's partition table onto the disk's file, after clearing it.
func Install(disk Disk) error {
	if err := WipeZeroes(disk, 0, disk.SizeBytes); err != nil {
		return err
	}

	file, err := os.OpenFile(disk.Path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck

	device, err := gpt.DeviceFromFile(file)
	if err != nil {
		return err
	}

	table, err := gpt.New(device, gpt.WithMarkPMBRBootable())
	if err != nil {
		return err
	}

	sizes := quirks.New(talosVersion).PartitionSizes()

	for _, partition := range []struct {
		label string
		kind  uuid.UUID
		size  uint64
	}{
		{constants.EFIPartitionLabel, typeEFI, sizes.GrubEFISize()},
		{constants.BIOSGrubPartitionLabel, typeBIOS, sizes.GrubBIOSSize()},
		{constants.BootPartitionLabel, typeLinux, sizes.GrubBootSize()},
		{constants.MetaPartitionLabel, typeLinux, sizes.METASize()},
		{constants.StatePartitionLabel, typeLinux, sizes.StateSize()},
		{constants.EphemeralPartitionLabel, typeLinux, 0}, // what is left
	} {
		if partition.size == 0 {
			partition.size = table.LargestContiguousAllocatable()
		}

		_, entry, err := table.AllocatePartition(partition.size, partition.label, partition.kind)
		if err != nil {
			return fmt.Errorf("partition %s of %d bytes: %w", partition.label, partition.size, err)
		}

		if partition.label == constants.MetaPartitionLabel {
			if err = markMeta(file, int64(entry.FirstLBA)*sectorSize); err != nil {
				return err
			}
		}
	}

	if err = table.Write(); err != nil {
		return err
	}

	return file.Sync()
}

// markMeta writes an empty META, so that the partition is recognised by its content.
func markMeta(file *os.File, offset int64) error {
	content := make([]byte, metaLength)
	binary.BigEndian.PutUint32(content, metaMagicStart)
	binary.BigEndian.PutUint32(content[metaLength-4:], metaMagicEnd)

	_, err := file.WriteAt(content, offset)

	return err
}
