package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
)

const gatewayAPI = "/apis/gateway.networking.k8s.io/v1/"

// gatewayDouble does what a Gateway's proxy does: it ends TLS with the certificates of the Gateway's listeners, and leads each request by its host name and
// path to the service that an HTTPRoute names. Filters are not looked at, but for the redirect to https.
type gatewayDouble struct {
	namespace, name string

	mutex        sync.RWMutex
	routes       map[string]object
	certificates map[string]*tls.Certificate // by namespace/name of the Secret
}

// runGateway serves on 8080 and 8443 (TLS). Environment: POD_NAMESPACE, STUB_NAME (of the Gateway), STUB_PORTS (for probes).
func runGateway() error {
	server, err := newAPI()
	if err != nil {
		return err
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	double := &gatewayDouble{
		namespace: os.Getenv("POD_NAMESPACE"), name: os.Getenv("STUB_NAME"),
		routes: map[string]object{}, certificates: map[string]*tls.Certificate{},
	}

	go serve(func() bool { return true })
	go server.follow(ctx, gatewayAPI+"httproutes", func(item object, gone bool) { double.learn(double.routes, item, gone) })
	go server.follow(ctx, "/api/v1/namespaces/"+double.namespace+"/secrets?fieldSelector=type=kubernetes.io/tls", double.learnCertificate)

	plain := &http.Server{Addr: ":8080", Handler: double}
	encrypted := &http.Server{Addr: ":8443", Handler: double, TLSConfig: &tls.Config{GetCertificate: double.certificate}}

	go func() { log.Fatal("stub gateway: ", plain.ListenAndServe()) }()
	go func() { log.Fatal("stub gateway: ", encrypted.ListenAndServeTLS("", "")) }()

	<-ctx.Done()

	return nil
}

func (g *gatewayDouble) learn(into map[string]object, item object, gone bool) {
	g.mutex.Lock()
	defer g.mutex.Unlock()

	if gone {
		delete(into, text(item, "metadata", "uid"))
	} else {
		into[text(item, "metadata", "uid")] = item
	}
}

func (g *gatewayDouble) learnCertificate(secret object, gone bool) {
	g.mutex.Lock()
	defer g.mutex.Unlock()

	name := text(secret, "metadata", "name")
	delete(g.certificates, name)

	if found := pairOf(secret); found != nil && !gone {
		if loaded, err := tls.X509KeyPair(found.certificate, found.key); err == nil {
			g.certificates[name] = &loaded
		}
	}
}

// certificate is one that covers the name that the client asks for.
func (g *gatewayDouble) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	g.mutex.RLock()
	defer g.mutex.RUnlock()

	for _, found := range g.certificates {
		if found.Leaf.VerifyHostname(hello.ServerName) == nil {
			return found, nil
		}
	}

	return nil, fmt.Errorf("no certificate for %q", hello.ServerName)
}

func (g *gatewayDouble) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	rule, namespace := g.find(request)
	if rule == nil {
		http.Error(response, "the double of the gateway has no route for this", http.StatusNotFound)

		return
	}

	for _, filter := range list(rule, "filters") {
		if text(filter, "type") == "RequestRedirect" {
			http.Redirect(response, request, "https://"+strings.Split(request.Host, ":")[0]+request.URL.RequestURI(), http.StatusMovedPermanently)

			return
		}
	}

	backends := list(rule, "backendRefs")
	if len(backends) == 0 {
		http.Error(response, "the route has no backend", http.StatusInternalServerError)

		return
	}

	if other := text(backends[0], "namespace"); other != "" {
		namespace = other
	}

	target := &url.URL{Scheme: "http", Host: fmt.Sprintf("%s.%s.svc.cluster.local:%d", text(backends[0], "name"), namespace, number(backends[0], "port"))}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
		r.SetXForwarded()
	}}
	proxy.ServeHTTP(response, request)
}

// find gives the rule for a request, of a route to this Gateway with the request's host name and the longest path, and the route's namespace.
func (g *gatewayDouble) find(request *http.Request) (object, string) {
	g.mutex.RLock()
	defer g.mutex.RUnlock()

	var (
		found     object
		namespace string
	)

	longest := -1

	for _, route := range g.routes {
		if !g.attached(route, request.TLS != nil) || !named(route, strings.Split(request.Host, ":")[0]) {
			continue
		}

		for _, rule := range list(route, "spec", "rules") {
			prefix := ""
			if matches := list(rule, "matches"); len(matches) > 0 {
				prefix = text(matches[0], "path", "value")
			}

			if strings.HasPrefix(request.URL.Path, prefix) && len(prefix) > longest {
				found, namespace, longest = rule, text(route, "metadata", "namespace"), len(prefix)
			}
		}
	}

	return found, namespace
}

func (g *gatewayDouble) attached(route object, encrypted bool) bool {
	for _, parent := range list(route, "spec", "parentRefs") {
		namespace := text(parent, "namespace")
		if namespace == "" {
			namespace = text(route, "metadata", "namespace")
		}

		section := text(parent, "sectionName")
		if text(parent, "name") == g.name && namespace == g.namespace && (section == "" || strings.HasPrefix(section, "https") == encrypted) {
			return true
		}
	}

	return false
}

func named(route object, host string) bool {
	names, _ := at(route, "spec", "hostnames").([]any)
	for _, name := range names {
		pattern := fmt.Sprint(name)
		if suffix, wild := strings.CutPrefix(pattern, "*"); pattern == host || wild && strings.HasSuffix(host, suffix) {
			return true
		}
	}

	return len(names) == 0
}
