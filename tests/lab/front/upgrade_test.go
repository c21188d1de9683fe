package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const testSchematic = "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba"

func TestSystemOf(t *testing.T) {
	for _, each := range []struct {
		image, version, schematic string
		fails                     bool
	}{
		{image: "ghcr.io/siderolabs/installer:v1.13.9", version: "v1.13.9"},
		{image: "factory.talos.dev/metal-installer/" + testSchematic + ":v1.13.9", version: "v1.13.9", schematic: testSchematic},
		{image: "10.5.0.1:5000/metal-installer-secureboot/" + testSchematic + ":v1.14.0-beta.1@sha256:" + testSchematic, version: "v1.14.0-beta.1", schematic: testSchematic},
		{image: "factory.talos.dev/metal-installer/" + testSchematic + "@sha256:" + testSchematic, schematic: testSchematic, fails: true},
		{image: "ghcr.io/siderolabs/installer:latest", fails: true},
		{image: "ghcr.io:5000/siderolabs/installer", fails: true},
	} {
		found, err := SystemOf(each.image)
		if found.Version != each.version || found.Schematic != each.schematic || (err != nil) != each.fails {
			t.Errorf("%s: %+v, %v", each.image, found, err)
		}
	}
}

func TestUpgradeable(t *testing.T) {
	for _, each := range []struct {
		host, installer, words string
	}{
		{"v1.13.8", "v1.13.9", ""},
		{"v1.13.8", "v1.13.8", ""},
		{"v1.13.8", "v1.12.0", ""},
		{"v1.13.8", "v1.14.0", ""},
		{"v1.13.8", "v1.16.0", "too old to upgrade"},
		{"v1.13.8", "v1.10.0", "too new to downgrade"},
		{"v1.13.8", "v2.0.0", "not supported"},
	} {
		err := upgradeable(each.host, each.installer)
		if (err == nil) != (each.words == "") || (err != nil && !strings.Contains(err.Error(), each.words)) {
			t.Errorf("%s to %s: %v", each.host, each.installer, err)
		}
	}
}

func TestInstallerLeavesTheOtherSystemForTheNextBoot(t *testing.T) {
	directory := t.TempDir()
	front := &Front{systems: filepath.Join(directory, "systems.json"), upgradeFault: filepath.Join(directory, "upgrade-fault")}
	say := func(string) error { return nil }
	image := "factory.talos.dev/metal-installer/" + testSchematic + ":v1.13.9"

	if err := front.InstallSystem("ghcr.io/siderolabs/installer:v1.13.8"); err != nil {
		t.Fatal(err)
	}

	if err := os.WriteFile(front.upgradeFault, []byte(faultInstallFails+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	if err := front.runInstaller(image, Fields{}, say); !errors.Is(err, errInstaller) {
		t.Fatalf("the fault is not an installer's error: %v", err)
	}

	fields := Fields{}

	if err := front.runInstaller(image, fields, say); err != nil {
		t.Fatal(err)
	}

	systems, err := readSystems(front.systems)
	if err != nil || systems.Installed == nil || systems.Next == nil {
		t.Fatalf("%+v, %v", systems, err)
	}

	if systems.Installed.Version != "v1.13.8" || *systems.Next != (System{Image: image, Version: "v1.13.9", Schematic: testSchematic}) {
		t.Errorf("%+v, %+v", systems.Installed, systems.Next)
	}

	if fields["from"] != "v1.13.8" || fields["to"] != "v1.13.9" || fields["schematic"] != testSchematic {
		t.Errorf("%v", fields)
	}
}
