package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	account      = "/var/run/secrets/kubernetes.io/serviceaccount"
	fieldManager = "lab-double"

	plainJSON  = "application/json"
	mergePatch = "application/merge-patch+json"
	applyPatch = "application/apply-patch+yaml"
)

type object = map[string]any

// refusal is an answer of the API server that is no success.
type refusal struct {
	code int
	text string
}

func (r *refusal) Error() string { return r.text }

// refused tells whether the error is an answer with this status.
func refused(err error, code int) bool {
	var answer *refusal

	return errors.As(err, &answer) && answer.code == code
}

// api speaks to the API server with the pod's service account.
type api struct {
	client *http.Client
	server string

	mutex sync.Mutex
	paths map[string]string // "apiVersion/Kind" -> resource path pattern with NAMESPACE where it is namespaced
}

// newAPI finds the API server where the pod's environment says.
func newAPI() (*api, error) {
	authority, err := os.ReadFile(filepath.Join(account, "ca.crt"))
	if err != nil {
		return nil, err
	}

	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)

	return &api{
		client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}},
		server: "https://" + net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")),
		paths:  map[string]string{},
	}, nil
}

func (a *api) request(ctx context.Context, method, path, contentType string, body any) (*http.Response, error) {
	token, err := os.ReadFile(filepath.Join(account, "token"))
	if err != nil {
		return nil, err
	}

	var content io.Reader

	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}

		content = bytes.NewReader(text)
	}

	request, err := http.NewRequestWithContext(ctx, method, a.server+path, content)
	if err != nil {
		return nil, err
	}

	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	request.Header.Set("Accept", plainJSON)

	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}

	response, err := a.client.Do(request)
	if err != nil {
		return nil, err
	}

	if response.StatusCode >= http.StatusMultipleChoices {
		defer response.Body.Close()

		text, _ := io.ReadAll(io.LimitReader(response.Body, 500))

		return nil, &refusal{response.StatusCode, fmt.Sprintf("%s %s: %s: %s", method, path, response.Status, text)}
	}

	return response, nil
}

// call sends one request and decodes the answer into “into“ (nil: not wanted). A request that takes longer than half a minute fails.
func (a *api) call(ctx context.Context, method, path, contentType string, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()

	response, err := a.request(ctx, method, path, contentType, body)
	if err != nil {
		return err
	}
	defer response.Body.Close()

	if into == nil {
		_, err = io.Copy(io.Discard, response.Body)

		return err
	}

	return json.NewDecoder(response.Body).Decode(into)
}

func (a *api) get(ctx context.Context, path string) (object, error) {
	var found object

	return found, a.call(ctx, http.MethodGet, path, "", nil, &found)
}

// base is the path of an API version: /api/v1 or /apis/group/version.
func base(version string) string {
	if strings.Contains(version, "/") {
		return "/apis/" + version
	}

	return "/api/" + version
}

// path gives the address of an object by what the API server says about its kind.
func (a *api) path(ctx context.Context, item object) (string, error) {
	version, kind := text(item, "apiVersion"), text(item, "kind")
	key := version + "/" + kind

	a.mutex.Lock()
	pattern := a.paths[key]
	a.mutex.Unlock()

	if pattern == "" {
		found, err := a.get(ctx, base(version))
		if err != nil {
			return "", err
		}

		for _, entry := range list(found, "resources") {
			if text(entry, "kind") != kind || strings.Contains(text(entry, "name"), "/") {
				continue
			}

			pattern = base(version) + "/"
			if entry["namespaced"] == true {
				pattern += "namespaces/NAMESPACE/"
			}

			pattern += text(entry, "name")
		}

		if pattern == "" {
			return "", fmt.Errorf("the API server does not serve %s %s", version, kind)
		}

		a.mutex.Lock()
		a.paths[key] = pattern
		a.mutex.Unlock()
	}

	return strings.Replace(pattern, "NAMESPACE", text(item, "metadata", "namespace"), 1) + "/" + url.PathEscape(text(item, "metadata", "name")), nil
}

// apply makes the object what it says, by server-side apply.
func (a *api) apply(ctx context.Context, item object) (object, error) {
	path, err := a.path(ctx, item)
	if err != nil {
		return nil, err
	}

	var found object

	return found, a.call(ctx, http.MethodPatch, path+"?fieldManager="+fieldManager+"&force=true", applyPatch, item, &found)
}

// mergeStatus writes the fields into the status of an object, and says so in the log.
func (a *api) mergeStatus(ctx context.Context, item, status object) error {
	path, err := a.path(ctx, item)
	if err != nil {
		return err
	}

	log.Printf("stub: status of %s", path)

	return a.call(ctx, http.MethodPatch, path+"/status?fieldManager="+fieldManager, mergePatch, object{"status": status}, nil)
}

// follow lists a collection and watches it until “ctx“ ends, and calls “handle“ with every object: gone is true when it is no more. It comes back to
// a collection that is not there (yet), and lists again when a watch breaks.
func (a *api) follow(ctx context.Context, path string, handle func(item object, gone bool)) {
	known := map[string]object{}
	pause := time.Second

	for ctx.Err() == nil {
		err := a.watch(ctx, path, known, handle)
		if err == nil {
			pause = time.Second
		} else if ctx.Err() == nil {
			if !refused(err, http.StatusNotFound) {
				log.Print("stub: ", err)
			}

			pause = min(2*pause, 8*time.Second)
		}

		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

func (a *api) watch(ctx context.Context, path string, known map[string]object, handle func(item object, gone bool)) error {
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}

	found, err := a.get(ctx, path)
	if err != nil {
		return err
	}

	present := map[string]bool{}

	for _, item := range list(found, "items") {
		// Items of a list do not carry these.
		item["apiVersion"], item["kind"] = found["apiVersion"], strings.TrimSuffix(text(found, "kind"), "List")
		uid := text(item, "metadata", "uid")
		present[uid], known[uid] = true, item
		handle(item, false)
	}

	for uid, item := range known {
		if !present[uid] {
			delete(known, uid)
			handle(item, true)
		}
	}

	stream, err := a.request(ctx, http.MethodGet, path+separator+"watch=1&allowWatchBookmarks=true&resourceVersion="+text(found, "metadata", "resourceVersion"), "", nil)
	if err != nil {
		return err
	}
	defer stream.Body.Close()

	lines := bufio.NewScanner(stream.Body)
	lines.Buffer(nil, 8<<20)

	for lines.Scan() {
		var event struct {
			Type   string `json:"type"`
			Object object `json:"object"`
		}
		if err = json.Unmarshal(lines.Bytes(), &event); err != nil {
			return err
		}

		uid := text(event.Object, "metadata", "uid")

		switch event.Type {
		case "ADDED", "MODIFIED":
			known[uid] = event.Object
			handle(event.Object, false)
		case "DELETED":
			delete(known, uid)
			handle(event.Object, true)
		case "ERROR":
			return nil // too old: list again
		}
	}

	return lines.Err()
}

// at walks into nested objects; nil when a part is missing.
func at(item any, keys ...string) any {
	for _, key := range keys {
		inner, ok := item.(object)
		if !ok {
			return nil
		}

		item = inner[key]
	}

	return item
}

func text(item any, keys ...string) string {
	found, _ := at(item, keys...).(string)

	return found
}

func number(item any, keys ...string) int {
	found, _ := at(item, keys...).(float64)

	return int(found)
}

// list gives the objects of a list.
func list(item any, keys ...string) []object {
	entries, _ := at(item, keys...).([]any)
	found := make([]object, 0, len(entries))

	for _, entry := range entries {
		if inner, ok := entry.(object); ok {
			found = append(found, inner)
		}
	}

	return found
}
