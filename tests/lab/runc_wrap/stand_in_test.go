package main

import (
	"encoding/json"
	"slices"
	"testing"
)

func TestWhatAContainersPodWants(t *testing.T) {
	const content = `{"spec": {"restartPolicy": "Always",
		"initContainers": [{"name": "first"}, {"name": "beside", "restartPolicy": "Always", "ports": [{"containerPort": 1}]}],
		"containers": [{"name": "silent"}, {"name": "main", "ports": [{"name": "http", "containerPort": 80}, {"name": "dns", "containerPort": 53, "protocol": "UDP"}],
			"readinessProbe": {"httpGet": {"port": "http"}}, "livenessProbe": {"tcpSocket": {"port": 81}}, "startupProbe": {"grpc": {"port": 82}}}]}}`

	var pod object
	if err := json.Unmarshal([]byte(content), &pod); err != nil {
		t.Fatal(err)
	}

	for name, expected := range map[string][]string{"first": {"job"}, "beside": {"stand-in", "1"}, "silent": {"stand-in", "8080"}, "main": {"stand-in", "80", "82", "81"}} {
		verb, ports := wanted(pod, name)
		if found := append([]string{verb}, ports...); !slices.Equal(found, expected) {
			t.Errorf("%s: %v instead of %v", name, found, expected)
		}
	}

	if played([]any{stub, "-config.file=x"}) || played([]any{stub}) || !played([]any{stub, "serve"}) {
		t.Error("the stub is taken for another")
	}

	pod["spec"].(object)["restartPolicy"] = "OnFailure"

	if verb, _ := wanted(pod, "main"); verb != "job" {
		t.Errorf("a pod that is to end gets %s", verb)
	}
}
