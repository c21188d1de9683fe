// Front is the hardware front of one lab machine: it answers on the machine's address in place of the machine's own API (apid),
// passes every call on to it, and adds what Talos's container mode lacks: disks, installation onto one of them, reset to maintenance
// mode, and in maintenance mode a certificate with a stable fingerprint. It records on the timeline what changes the machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/siderolabs/grpc-proxy/proxy"
	"github.com/siderolabs/talos/pkg/machinery/constants"
)

var rawCodec = proxy.Codec()

func main() {
	log.SetFlags(log.Ldate | log.Ltime | log.Lmicroseconds)

	if err := run(); err != nil {
		log.Fatalf("front: %v", err)
	}
}

func run() error {
	var (
		machineName   = flag.String("machine", "", "name of the machine, for the timeline")
		address       = flag.String("address", "", "address of the machine, for its maintenance certificate")
		listen        = flag.String("listen", ":50500", "where clients come in (redirected from port 50000)")
		upstream      = flag.String("upstream", "127.0.0.1:50000", "the machine's own API")
		stateDir      = flag.String("state", "", "directory of this front: certificates, 0700")
		authorities   = flag.String("authorities", "", "directory that the fronts of a lab share for CA keys, 0700 (default: authorities beside the machines' directories)")
		timelinePath  = flag.String("timeline", "", "file that events are appended to, JSON lines")
		disks         = flag.String("disks", "", "disks.json")
		control       = flag.String("control", "", "unix socket of the machine's supervisor")
		systems       = flag.String("systems", "", "file that says which Talos is installed and runs (default: systems.json beside disks.json)")
		systemUUID    = flag.String("uuid", "", "UUID of the machine's system (SMBIOS); empty: the machine tells none, as in container mode")
		systemSerial  = flag.String("serial", "", "serial number of the machine's system (SMBIOS)")
		machineState  = flag.String("machine-state", "", "the machine's STATE (default: the directory state beside disks.json)")
		redirect      = flag.Bool("redirect", true, "lead calls from inside the machine to its own address here as well (nft)")
		installReboot = flag.Bool("install-reboot", true, "restart the machine after an installation, as on metal")
	)

	flag.Parse()

	for _, name := range []string{"machine", "address", "state", "timeline", "disks", "control"} {
		if flag.Lookup(name).Value.String() == "" {
			return fmt.Errorf("option --%s is missing", name)
		}
	}

	if *authorities == "" {
		*authorities = filepath.Join(filepath.Dir(filepath.Dir(filepath.Dir(filepath.Clean(*stateDir)))), "authorities")
	}

	if *machineState == "" {
		*machineState = filepath.Join(filepath.Dir(*disks), "state")
	}

	if *systems == "" {
		*systems = filepath.Join(filepath.Dir(*disks), "systems.json")
	}

	_, port, err := net.SplitHostPort(*listen)
	if err != nil {
		return fmt.Errorf("option --listen: %w", err)
	}

	identity, err := NewIdentity(*stateDir, *authorities, *address)
	if err != nil {
		return err
	}

	inventory, err := NewInventory(*disks)
	if err != nil {
		return err
	}

	front := &Front{
		identity:      identity,
		upstream:      &Upstream{address: *upstream, identity: identity},
		inventory:     inventory,
		timeline:      &Timeline{path: *timelinePath, machine: *machineName},
		supervisor:    &Supervisor{socket: *control},
		configuration: filepath.Join(*machineState, constants.ConfigFilename),
		systems:       *systems,
		upgradeFault:  filepath.Join(*stateDir, "upgrade-fault"),
		uuid:          *systemUUID,
		serial:        *systemSerial,
		port:          port,
		redirect:      *redirect,
		installReboot: *installReboot,
	}

	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()

	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}

	failed := make(chan error, 2)

	go inventory.Run(ctx)
	go func() { failed <- front.upstream.Watch(ctx, front.Follow) }()
	go func() { failed <- front.Accept(listener) }()

	select {
	case err = <-failed:
	case <-ctx.Done():
	}

	if closeErr := listener.Close(); err == nil && !errors.Is(closeErr, net.ErrClosed) {
		err = closeErr
	}

	return err
}
