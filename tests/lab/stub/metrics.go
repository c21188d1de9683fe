package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// runMetrics serves metrics.k8s.io/v1beta1 as metrics-server does, from the kubelets' summaries, which it asks for through the API server.
// Environment: STUB_PORTS with a port that ends in /tls.
func runMetrics() error {
	server, err := newAPI()
	if err != nil {
		return err
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	source := &metricsAPI{server}

	for port := range strings.SplitSeq(os.Getenv("STUB_PORTS"), ",") {
		go listen(port, http.HandlerFunc(source.answer))
	}

	<-ctx.Done()

	return nil
}

type metricsAPI struct{ api *api }

const metricsVersion = "metrics.k8s.io/v1beta1"

func (m *metricsAPI) answer(response http.ResponseWriter, request *http.Request) {
	path, known := strings.CutPrefix(strings.TrimSuffix(request.URL.Path, "/"), "/apis/"+metricsVersion)

	var (
		content any
		err     error
	)

	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")

	switch {
	case request.URL.Query().Has("watch"):
		// As with metrics-server: lists and objects only.
		refuse(response, http.StatusMethodNotAllowed, "MethodNotAllowed", "the server does not allow this method on the requested resource")

		return
	case !known:
		fmt.Fprintln(response, "ok")

		return
	case path == "":
		content = resources()
	case parts[0] == "nodes" && len(parts) == 1:
		content, err = m.nodes(request.Context())
	case parts[0] == "nodes":
		content, err = m.node(request.Context(), parts[1])
	case parts[0] == "pods":
		content, err = m.pods(request.Context(), "")
	case len(parts) == 3 && parts[0] == "namespaces" && parts[2] == "pods":
		content, err = m.pods(request.Context(), parts[1])
	default:
		refuse(response, http.StatusNotFound, "NotFound", "the server could not find the requested resource")

		return
	}

	if err != nil {
		refuse(response, http.StatusServiceUnavailable, "ServiceUnavailable", err.Error())

		return
	}

	response.Header().Set("Content-Type", plainJSON)
	_ = json.NewEncoder(response).Encode(content)
}

// refuse answers as the API server does.
func refuse(response http.ResponseWriter, code int, reason, message string) {
	response.Header().Set("Content-Type", plainJSON)
	response.WriteHeader(code)
	_ = json.NewEncoder(response).Encode(object{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code})
}

func resources() object {
	entry := func(name, kind string, namespaced bool) object {
		return object{"name": name, "singularName": "", "kind": kind, "namespaced": namespaced, "verbs": []string{"get", "list"}}
	}

	return object{
		"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": metricsVersion,
		"resources": []any{entry("nodes", "NodeMetrics", false), entry("pods", "PodMetrics", true)},
	}
}

func usage(from object) object {
	return object{
		"cpu":    fmt.Sprintf("%dn", number(from, "cpu", "usageNanoCores")),
		"memory": fmt.Sprintf("%dKi", number(from, "memory", "workingSetBytes")/1024),
	}
}

func (m *metricsAPI) summary(ctx context.Context, node string) (object, error) {
	return m.api.get(ctx, "/api/v1/nodes/"+node+"/proxy/stats/summary")
}

func (m *metricsAPI) node(ctx context.Context, name string) (object, error) {
	summary, err := m.summary(ctx, name)
	if err != nil {
		return nil, err
	}

	found, _ := summary["node"].(object)

	return object{
		"kind": "NodeMetrics", "apiVersion": metricsVersion, "metadata": object{"name": name},
		"timestamp": time.Now().UTC().Format(time.RFC3339), "window": "10s", "usage": usage(found),
	}, nil
}

func (m *metricsAPI) names(ctx context.Context) ([]string, error) {
	found, err := m.api.get(ctx, "/api/v1/nodes")
	names := []string{}

	for _, node := range list(found, "items") {
		names = append(names, text(node, "metadata", "name"))
	}

	return names, err
}

func (m *metricsAPI) nodes(ctx context.Context) (object, error) {
	names, err := m.names(ctx)
	items := []any{}

	for _, name := range names {
		// As with metrics-server, a node that does not answer is left out.
		if item, err := m.node(ctx, name); err == nil {
			items = append(items, item)
		}
	}

	return object{"kind": "NodeMetricsList", "apiVersion": metricsVersion, "metadata": object{}, "items": items}, err
}

func (m *metricsAPI) pods(ctx context.Context, namespace string) (object, error) {
	names, err := m.names(ctx)
	items := []any{}

	for _, name := range names {
		summary, err := m.summary(ctx, name)
		if err != nil {
			continue
		}

		for _, pod := range list(summary, "pods") {
			if namespace != "" && text(pod, "podRef", "namespace") != namespace {
				continue
			}

			containers := []any{}
			for _, container := range list(pod, "containers") {
				containers = append(containers, object{"name": container["name"], "usage": usage(container)})
			}

			items = append(items, object{
				"kind": "PodMetrics", "apiVersion": metricsVersion,
				"metadata":  object{"name": at(pod, "podRef", "name"), "namespace": at(pod, "podRef", "namespace")},
				"timestamp": time.Now().UTC().Format(time.RFC3339), "window": "10s", "containers": containers,
			})
		}
	}

	return object{"kind": "PodMetricsList", "apiVersion": metricsVersion, "metadata": object{}, "items": items}, err
}
