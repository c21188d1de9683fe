package main

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// With real charts (LAB_CHARTS) the lab's registry gives its stub image for every name, in which the program that a container is to run is missing. The stub
// then stands in for it: it listens on the ports that the container's pod declares or is probed on (8080 without any), and ends well where the program is
// to end.
const (
	stub    = "/usr/local/bin/stub"
	kubelet = "/var/lib/kubelet/pki/kubelet-client-current.pem"
	host    = "/.lab/host/usr"
)

// server is KubePrism; a build may set another (-ldflags "-X main.server=...").
var server = "https://127.0.0.1:7445"

// verbs of the stub (stub/main.go).
var verbs = []string{"pause", "cni", "operator", "metrics", "gateway", "job", "forward", "stand-in", "accepted", "serve"}

// standIn puts the stub in the place of a program that the container's root file system lacks.
func standIn(bundle string, specification object) error {
	process, _ := specification["process"].(object)
	annotations, _ := specification["annotations"].(object)
	root, _ := specification["root"].(object)

	if annotations["io.kubernetes.cri.container-type"] != "container" {
		return nil
	}

	directory := fmt.Sprint(root["path"])
	if !filepath.IsAbs(directory) {
		directory = filepath.Join(bundle, directory)
	}

	arguments, _ := process["args"].([]any)
	environment, _ := process["env"].([]any)

	if borrowed(specification) {
		return nil
	}

	if len(arguments) == 0 || !exists(directory, stub) || played(arguments) || arguments[0] != stub && found(directory, fmt.Sprint(arguments[0]), environment) {
		return nil
	}

	pod, err := getPod(fmt.Sprint(annotations["io.kubernetes.cri.sandbox-namespace"]), fmt.Sprint(annotations["io.kubernetes.cri.sandbox-name"]))
	if err != nil {
		return fmt.Errorf("%v is not in the image, and what its pod wants cannot be learnt: %w", arguments[0], err)
	}

	verb, ports := wanted(pod, fmt.Sprint(annotations["io.kubernetes.cri.container-name"]))
	process["args"] = []any{stub, verb}
	process["cwd"] = "/"
	process["env"] = append(environment, "STUB_PORTS="+strings.Join(ports, ","), "GOMAXPROCS=1")

	return nil
}

// standInCommand lets a command that is run in such a container succeed: a probe or a hook. One with a terminal is a user's, and stays.
func standInCommand(arguments []string, process object) {
	state, err := readObject(filepath.Join(option(arguments, "--root", "", "/run/runc"), arguments[len(arguments)-1], "state.json"))
	if err != nil || process["terminal"] == true {
		return
	}

	config, _ := state["config"].(object)
	labels, _ := config["labels"].([]any)

	for _, label := range labels {
		bundle, ok := strings.CutPrefix(fmt.Sprint(label), "bundle=")
		if !ok {
			continue
		}

		specification, err := readObject(filepath.Join(bundle, "config.json"))
		if err != nil {
			return
		}

		main, _ := specification["process"].(object)
		if started, _ := main["args"].([]any); len(started) == 2 && started[0] == stub && started[1] == "stand-in" {
			process["args"] = []any{stub, "job"}
			process["cwd"] = "/"
		}
	}
}

// borrowed tells whether the container's programs are those of the computer that the lab runs on (trinode_lab/ceph.py): a mount hides the image's.
func borrowed(specification object) bool {
	mounts, _ := specification["mounts"].([]any)

	return slices.ContainsFunc(mounts, func(item any) bool {
		mount, _ := item.(object)

		return mount["source"] == host
	})
}

// played tells whether a chart double says what the stub is to play. Where a real chart gives no command, the stub is called as the image's own program.
func played(arguments []any) bool {
	return len(arguments) > 1 && arguments[0] == stub && slices.Contains(verbs, fmt.Sprint(arguments[1]))
}

func readObject(path string) (object, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}

	var content object

	return content, json.Unmarshal(text, &content)
}

// found tells whether the program is in the root file system: by its path, or by name in the directories of PATH.
func found(directory, program string, environment []any) bool {
	if strings.Contains(program, "/") {
		return exists(directory, program)
	}

	for _, variable := range environment {
		if path, ok := strings.CutPrefix(fmt.Sprint(variable), "PATH="); ok {
			return slices.ContainsFunc(strings.Split(path, ":"), func(place string) bool { return exists(directory, filepath.Join(place, program)) })
		}
	}

	return false
}

// exists does not follow links, whose targets are others inside of the container.
func exists(directory, path string) bool {
	_, err := os.Lstat(filepath.Join(directory, path))

	return err == nil
}

// getPod asks the API server with the kubelet's own certificate, which may read the node's pods.
func getPod(namespace, name string) (object, error) {
	certificate, err := tls.LoadX509KeyPair(kubelet, kubelet)
	if err != nil {
		return nil, err
	}

	// The server is on the machine's own loopback, and the wrapper has no copy of its authority.
	configuration := &tls.Config{Certificates: []tls.Certificate{certificate}, InsecureSkipVerify: true}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: configuration}}

	response, err := client.Get(server + "/api/v1/namespaces/" + namespace + "/pods/" + name)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()

	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("pod %s/%s: %s", namespace, name, response.Status)
	}

	var pod object

	return pod, json.NewDecoder(response.Body).Decode(&pod)
}

// wanted is what the stub shall do in the place of the container, and on which ports.
func wanted(pod object, name string) (verb string, ports []string) {
	specification, _ := pod["spec"].(object)
	initial := containers(specification, "initContainers")

	for _, container := range append(initial, containers(specification, "containers")...) {
		if container["name"] != name {
			continue
		}

		starter := slices.ContainsFunc(initial, func(other object) bool { return other["name"] == name })
		if starter && container["restartPolicy"] != "Always" || !starter && specification["restartPolicy"] != "Always" {
			return "job", nil
		}

		return "stand-in", listened(container)
	}

	return "stand-in", nil
}

func containers(specification object, key string) []object {
	entries, _ := specification[key].([]any)
	items := make([]object, 0, len(entries))

	for _, entry := range entries {
		if item, ok := entry.(object); ok {
			items = append(items, item)
		}
	}

	return items
}

// listened are the container's TCP ports: those that it declares, and those of its probes.
func listened(container object) []string {
	ports, named := []string{}, map[string]string{}

	add := func(port any) {
		text := fmt.Sprint(port)
		if number, ok := port.(float64); ok {
			text = strconv.Itoa(int(number))
		} else if number, ok := named[text]; ok {
			text = number
		}

		if _, err := strconv.Atoi(text); err == nil && !slices.Contains(ports, text) {
			ports = append(ports, text)
		}
	}

	for _, port := range containers(container, "ports") {
		if number, ok := port["containerPort"].(float64); ok {
			named[fmt.Sprint(port["name"])] = strconv.Itoa(int(number))

			if port["protocol"] == nil || port["protocol"] == "TCP" {
				add(number)
			}
		}
	}

	for _, kind := range []string{"startupProbe", "readinessProbe", "livenessProbe"} {
		probe, _ := container[kind].(object)
		for _, way := range []string{"httpGet", "tcpSocket", "grpc"} {
			if action, ok := probe[way].(object); ok {
				add(action["port"])
			}
		}
	}

	if len(ports) == 0 {
		return []string{"8080"}
	}

	return ports
}
