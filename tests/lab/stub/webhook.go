package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
)

// webhook is an admission server that allows everything, and the configurations that lead to it.
type webhook struct {
	Port           int            `json:"port"`
	Service        string         `json:"service"`
	Secret         string         `json:"secret"` // of the authority and the certificate, made when it is missing
	Wait           bool           `json:"wait"`   // another one makes the Secret
	Configurations []configuredTo `json:"configurations"`
}

// configuredTo is a webhook configuration into which the operator writes its authority. Fail: it also makes the failure policy Fail, as istiod does.
type configuredTo struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	Fail bool   `json:"fail"`
}

// start serves with a certificate of the service's own authority, and keeps that authority in the configurations.
func (w *webhook) start(ctx context.Context, o *operatorDouble) error {
	names := []string{w.Service + "." + o.namespace + ".svc", w.Service + "." + o.namespace + ".svc.cluster.local", w.Service}

	pair, err := sharedPair(ctx, o, w.Secret, names, !w.Wait)
	if err != nil {
		return err
	}

	listener, err := net.Listen("tcp", ":"+strconv.Itoa(w.Port))
	if err != nil {
		return err
	}

	server := &http.Server{Handler: http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) { o.review(response, request) }), TLSConfig: pair.tls()}

	go func() { report(server.ServeTLS(listener, "", "")) }()

	for _, configured := range w.Configurations {
		resource := map[string]string{"ValidatingWebhookConfiguration": "validatingwebhookconfigurations", "MutatingWebhookConfiguration": "mutatingwebhookconfigurations"}
		path := "/apis/admissionregistration.k8s.io/v1/" + resource[configured.Kind]

		go o.api.follow(ctx, path+"?fieldSelector=metadata.name="+configured.Name, func(item object, gone bool) {
			if gone || o.faulty("silent") {
				return
			}

			report(w.inject(ctx, o, path, item, base64.StdEncoding.EncodeToString(pair.authority), configured.Fail))
		})
	}

	return nil
}

// inject writes the authority into all webhooks of a configuration where another or none is in it.
func (w *webhook) inject(ctx context.Context, o *operatorDouble, path string, item object, authority string, fail bool) error {
	var changes []any

	for i, hook := range list(item, "webhooks") {
		place := fmt.Sprintf("/webhooks/%d", i)

		if text(hook, "clientConfig", "caBundle") != authority {
			changes = append(changes, object{"op": "add", "path": place + "/clientConfig/caBundle", "value": authority})
		}

		if fail && text(hook, "failurePolicy") != "Fail" {
			changes = append(changes, object{"op": "add", "path": place + "/failurePolicy", "value": "Fail"})
		}
	}

	if len(changes) == 0 {
		return nil
	}

	return o.api.call(ctx, http.MethodPatch, path+"/"+text(item, "metadata", "name")+"?fieldManager="+fieldManager, "application/json-patch+json", changes, nil)
}

// review answers an admission request: allowed, unless a fault says otherwise. Anything else gets 200, as probes want.
func (o *operatorDouble) review(response http.ResponseWriter, request *http.Request) {
	var content object
	if request.Method != http.MethodPost || json.NewDecoder(request.Body).Decode(&content) != nil {
		fmt.Fprintln(response, "ok")

		return
	}

	if o.faulty("mute") {
		<-request.Context().Done()

		return
	}

	answer := object{"uid": at(content, "request", "uid"), "allowed": !o.faulty("deny")}
	if o.faulty("deny") {
		answer["status"] = object{"code": http.StatusForbidden, "message": "refused by the double of " + o.name + ", as the lab's fault says"}
	}

	response.Header().Set("Content-Type", plainJSON)
	_ = json.NewEncoder(response).Encode(object{"apiVersion": content["apiVersion"], "kind": content["kind"], "response": answer})
}
