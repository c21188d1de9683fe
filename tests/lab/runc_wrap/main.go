// runc_wrap stands before runc on hosts whose root lacks CAP_SYS_RESOURCE or that still have cgroup version 1. It takes out of the container's
// specification what such a host cannot give, and runs the real runc. It also has the lab's stub stand in for programs that an image lacks (stand_in.go).
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

const capability = "CAP_SYS_RESOURCE"

// oneProcessor keeps the dozens of Go programs of three machines on one computer from looking for work for each of its cores all the time.
const oneProcessor = "GOMAXPROCS=1"

// runc is the real one; a build may set another path (-ldflags "-X main.runc=...").
var runc = "/usr/bin/runc.real"

type object = map[string]any

// adaptProcess removes what needs CAP_SYS_RESOURCE from a process of the OCI runtime specification.
func adaptProcess(process object) {
	delete(process, "oomScoreAdj")
	delete(process, "rlimits")
	delete(process, "apparmorProfile")

	sets, _ := process["capabilities"].(object)
	for name, set := range sets {
		if list, ok := set.([]any); ok {
			sets[name] = slices.DeleteFunc(list, func(item any) bool { return item == capability })
		}
	}
}

// adaptSpecification changes a whole config.json: the process; the seccomp profile (it would undo the shim's answers); the bind of /sys/fs/cgroup,
// which must take the mounts of cgroup version 1 below it along; and the bind of /sys, made private, since Talos's mount points are shared and what the
// kubelet's container mounts below /sys would come back to the machine, twice as much with each start of the kubelet.
func adaptSpecification(specification object) {
	if process, ok := specification["process"].(object); ok {
		adaptProcess(process)
		environment, _ := process["env"].([]any)
		process["env"] = append(environment, oneProcessor)
	}

	if linux, ok := specification["linux"].(object); ok {
		delete(linux, "seccomp")
	}

	mounts, _ := specification["mounts"].([]any)
	for _, item := range mounts {
		mount, _ := item.(object)
		options, _ := mount["options"].([]any)

		switch mount["destination"] {
		case "/sys":
			mount["options"] = append(options, "rprivate")
		case "/sys/fs/cgroup":
			for i, option := range options {
				if option == "bind" {
					options[i] = "rbind"
				}
			}
		}
	}
}

func rewrite(path string, adapt func(object) error) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}

	var content object
	if err = json.Unmarshal(text, &content); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}

	if err = adapt(content); err != nil {
		return err
	}

	if text, err = json.Marshal(content); err != nil {
		return err
	}

	return os.WriteFile(path, text, 0o600)
}

// option gives the value of --long VALUE, --long=VALUE or -s VALUE.
func option(arguments []string, long, short, otherwise string) string {
	for i, argument := range arguments {
		if value, found := strings.CutPrefix(argument, long+"="); found {
			return value
		}

		if (argument == long || argument == short) && i+1 < len(arguments) {
			return arguments[i+1]
		}
	}

	return otherwise
}

func run(arguments []string) error {
	var err error

	switch {
	case slices.Contains(arguments, "create"), slices.Contains(arguments, "run"):
		bundle := option(arguments, "--bundle", "-b", ".")
		err = rewrite(filepath.Join(bundle, "config.json"), func(specification object) error {
			adaptSpecification(specification)

			return standIn(bundle, specification)
		})
	case slices.Contains(arguments, "exec"):
		if process := option(arguments, "--process", "-p", ""); process != "" {
			err = rewrite(process, func(content object) error {
				adaptProcess(content)
				standInCommand(arguments, content)

				return nil
			})
		}
	}

	if err != nil {
		return err
	}

	return syscall.Exec(runc, append([]string{"runc"}, arguments...), os.Environ())
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "runc_wrap:", err)
		os.Exit(1)
	}
}
