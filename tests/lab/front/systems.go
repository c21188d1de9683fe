package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/siderolabs/talos/pkg/machinery/resources/hardware"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
)

// System is a Talos of a machine: what the reference of its image says it is. One Talos is all that the lab has, so this is simulated.
type System struct {
	Image     string `json:"image"`
	Version   string `json:"version"`
	Schematic string `json:"schematic"`
}

// Systems is the file that the machine's supervisor and the front share: what runs, what is installed, what the next boot takes up (an
// upgrade), and what it would go back to. The supervisor settles it at each boot, the front writes to it in between.
type Systems struct {
	Running   *System `json:"running"`
	Installed *System `json:"installed"`
	Next      *System `json:"next"`
	Previous  *System `json:"previous"`
}

var (
	schematicPattern = regexp.MustCompile(`/([0-9a-f]{64})(?::|@|$)`)
	tagPattern       = regexp.MustCompile(`:(v\d+\.\d+\.\d+[^@/:]*)(?:@|$)`)
)

// SystemOf reads the reference of an installer's image. Without a version's tag there is no telling which Talos it holds.
func SystemOf(image string) (System, error) {
	system := System{Image: image}

	if found := schematicPattern.FindStringSubmatch(image); found != nil {
		system.Schematic = found[1]
	}

	found := tagPattern.FindStringSubmatch(image)
	if found == nil {
		return system, fmt.Errorf("the lab knows the Talos in %q by the version in its tag only, and it has none", image)
	}

	system.Version = found[1]

	return system, nil
}

// readSystems is empty for a machine that has not been booted by a supervisor that knows of systems.
func readSystems(path string) (Systems, error) {
	var systems Systems

	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return systems, nil
	}

	if err != nil {
		return systems, err
	}

	if err = json.Unmarshal(content, &systems); err != nil {
		return systems, fmt.Errorf("%s: %w", path, err)
	}

	return systems, nil
}

func (s Systems) write(path string) error {
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}

	if err = os.WriteFile(path+".new", append(content, '\n'), 0o644); err != nil {
		return err
	}

	return os.Rename(path+".new", path)
}

// RunningVersion is that of the machine's system, with its leading v.
func (f *Front) RunningVersion() string {
	systems, err := readSystems(f.systems)
	if err != nil || systems.Running == nil {
		return talosVersion
	}

	return systems.Running.Version
}

// InstallSystem notes what was installed onto an empty disk.
func (f *Front) InstallSystem(image string) error {
	systems, err := readSystems(f.systems)
	if err != nil {
		return err
	}

	installed, err := SystemOf(image)
	if err != nil {
		installed.Version = talosVersion
	}

	systems.Installed, systems.Next, systems.Previous = &installed, nil, nil

	return systems.write(f.systems)
}

// describeSystem keeps the resources that say which machine this is, and which Talos it runs.
func (f *Front) describeSystem(ctx context.Context) error {
	version := runtime.NewVersion()
	*version.TypedSpec() = runtime.VersionSpec{Name: "Talos", Version: f.RunningVersion()}

	if err := put(ctx, f.inventory.State, version); err != nil {
		return err
	}

	if f.uuid == "" {
		return nil
	}

	information := hardware.NewSystemInformation(hardware.SystemInformationID)
	*information.TypedSpec() = hardware.SystemInformationSpec{
		Manufacturer: "trinode.platform", ProductName: "Lab", Version: "simulated", SerialNumber: f.serial, UUID: strings.ToLower(f.uuid),
	}

	return put(ctx, f.inventory.State, information)
}
