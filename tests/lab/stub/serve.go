package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

// answer is what is said at a path.
type answer struct {
	Status int             `json:"status"` // 0: 200
	Type   string          `json:"type"`   // content type; "": JSON
	Text   string          `json:"text"`
	JSON   json.RawMessage `json:"json"`
}

// table of the canned answers, by path; one that ends in * is for all paths that begin so.
type table struct {
	mutex   sync.RWMutex
	entries map[string]answer
}

var answers = &table{entries: map[string]answer{}}

func (t *table) set(path string, what answer) {
	t.mutex.Lock()
	defer t.mutex.Unlock()

	t.entries[path] = what
}

func (t *table) find(path string) (answer, bool) {
	t.mutex.RLock()
	defer t.mutex.RUnlock()

	if found, ok := t.entries[path]; ok {
		return found, true
	}

	for key, found := range t.entries {
		if prefix, open := strings.CutSuffix(key, "*"); open && strings.HasPrefix(path, prefix) {
			return found, true
		}
	}

	return answer{}, false
}

// serve answers on every port of STUB_PORTS (8080; "9443/tls" with a certificate signed by itself) until told to end: 200 when ready, else 503; at the
// paths of STUB_ANSWERS (JSON: path to answer) what is written there.
func serve(ready func() bool) {
	ports := os.Getenv("STUB_PORTS")
	if ports == "" {
		ports = "8080"
	}

	if canned := os.Getenv("STUB_ANSWERS"); canned != "" {
		var entries map[string]answer
		if err := json.Unmarshal([]byte(canned), &entries); err != nil {
			log.Fatal("stub: STUB_ANSWERS: ", err)
		}

		for path, what := range entries {
			answers.set(path, what)
		}
	}

	for port := range strings.SplitSeq(ports, ",") {
		go listen(strings.TrimSpace(port), handler(ready))
	}

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	<-signals
}

// listen serves on a port, over TLS where it ends in /tls.
func listen(port string, to http.Handler) {
	port, encrypted := strings.CutSuffix(port, "/tls")
	server := &http.Server{Addr: ":" + port, Handler: to}

	if !encrypted {
		log.Fatal("stub: ", server.ListenAndServe())
	}

	host, _ := os.Hostname()

	made, err := issue(request{name: host, names: []string{host}, life: 10 * 365 * 24 * time.Hour}, nil)
	if err != nil {
		log.Fatal("stub: ", err)
	}

	server.TLSConfig = made.tls()
	log.Fatal("stub: ", server.ListenAndServeTLS("", ""))
}

func handler(ready func() bool) http.Handler {
	return http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		if !ready() {
			http.Error(response, "not ready yet", http.StatusServiceUnavailable)

			return
		}

		response.Header().Set("Server", "trinode-lab-double")

		found, ok := answers.find(request.URL.Path)
		if !ok {
			name, _ := os.Hostname()
			fmt.Fprintln(response, name)

			return
		}

		kind, body := found.Type, []byte(found.Text)
		if found.JSON != nil {
			body = found.JSON
		}

		if kind == "" {
			kind = plainJSON
		}

		response.Header().Set("Content-Type", kind)
		if found.Status != 0 {
			response.WriteHeader(found.Status)
		}

		_, _ = response.Write(body)
	})
}
