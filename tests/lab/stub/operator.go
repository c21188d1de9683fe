package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// configuration of an operator's double, the file STUB_CONFIG. Templates are Go's with << >>, see template.go.
type configuration struct {
	// Definitions are CustomResourceDefinitions, and Objects what the operator makes as it starts.
	Definitions []object `json:"definitions"`
	Objects     []object `json:"objects"`
	Webhook     *webhook `json:"webhook"`
	Rules       []rule   `json:"rules"`
	// Duties are what takes more than rules: the names of ``duties``.
	Duties []string `json:"duties"`
}

// rule is what becomes of custom resources of one kind.
type rule struct {
	Path string `json:"path"` // /apis/group/version/resource
	// Children are templates of objects, which the custom resource comes to own. An empty one is left out.
	Children []string `json:"children"`
	// Status is a template of the status; "ready" in it is true when all children that are workloads are, and those that are services of type LoadBalancer
	// have an address; "addresses" are these.
	Status string `json:"status"`
}

// operatorDouble plays a controller. Its replicas agree on a leader. What it does not do can be told by the ConfigMap lab-faults in kube-system: by its name
// "silent" (it does nothing any more), "no-definitions" (as it starts), "mute" (its webhook never answers), "deny" (its webhook refuses everything). A custom
// resource with the annotation lab.trinode/fault is left alone (silent) or failed.
type operatorDouble struct {
	*configuration
	api       *api
	name      string
	namespace string
	leader    lease
	ready     atomic.Bool
	fault     atomic.Pointer[string]
	again     func() // begins the leader's work anew

	mutex  sync.Mutex
	owners map[string]*owner // by uid
}

// owner is a custom resource and the workloads and services made for it.
type owner struct {
	rule     *rule
	item     object
	children map[string]object // by uid
	done     string            // the generation and templates of the last application of children
}

var duties = map[string]func(context.Context, *operatorDouble){
	"approve-certificates": approveCertificates,
	"certificates":         issueCertificates,
	"provision-volumes":    provisionVolumes,
	"addresses":            giveAddresses,
}

// runOperator plays a component's controller. Environment: STUB_NAME (its name), STUB_CONFIG (path of its configuration), POD_NAMESPACE, STUB_PORTS.
func runOperator() error {
	content, err := os.ReadFile(os.Getenv("STUB_CONFIG"))
	if err != nil {
		return err
	}

	double := &operatorDouble{name: os.Getenv("STUB_NAME"), namespace: os.Getenv("POD_NAMESPACE"), owners: map[string]*owner{}}
	if err = json.Unmarshal(content, &double.configuration); err != nil {
		return fmt.Errorf("%s: %w", os.Getenv("STUB_CONFIG"), err)
	}

	if double.api, err = newAPI(); err != nil {
		return err
	}

	host, _ := os.Hostname()
	double.leader = lease{api: double.api, namespace: double.namespace, name: "lab-double-" + double.name, identity: host}
	none := ""
	double.fault.Store(&none)

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	go serve(double.ready.Load)

	double.run(ctx)

	return nil
}

func (o *operatorDouble) faulty(name string) bool { return *o.fault.Load() == name }

func (o *operatorDouble) run(ctx context.Context) {
	o.again = o.work(ctx)
	known := make(chan struct{})

	go o.followFaults(ctx, known)

	select {
	case <-known:
	case <-ctx.Done():
		return
	}

	if o.Webhook != nil {
		o.persist(ctx, "webhook", func() error { return o.Webhook.start(ctx, o) })
	}

	if !o.faulty("no-definitions") {
		for _, item := range slices.Concat(o.Definitions, o.Objects) {
			o.persist(ctx, text(item, "kind")+" "+text(item, "metadata", "name"), func() error {
				_, err := o.api.apply(ctx, item)

				return err
			})
		}
	}

	o.ready.Store(true)

	if len(o.Rules)+len(o.Duties) == 0 {
		<-ctx.Done()

		return
	}

	o.leader.keep(ctx, func(bool) { o.again() })
}

// work returns what begins the leader's work anew, or ends it where this replica does not lead.
func (o *operatorDouble) work(ctx context.Context) func() {
	var mutex sync.Mutex

	end := func() {}

	return func() {
		mutex.Lock()
		defer mutex.Unlock()

		end()

		if o.leader.held.Load() {
			inner, stop := context.WithCancel(ctx)
			end = stop
			o.lead(inner)
		}
	}
}

// persist tries again each second until it succeeds.
func (o *operatorDouble) persist(ctx context.Context, what string, act func() error) {
	for ctx.Err() == nil {
		err := act()
		if err == nil {
			return
		}

		log.Printf("stub %s: %s: %v", o.name, what, err)

		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// followFaults learns what the lab's faults say; “known“ is closed when it has looked once.
func (o *operatorDouble) followFaults(ctx context.Context, known chan struct{}) {
	const path = "/api/v1/namespaces/kube-system/configmaps"

	learn := func(item object, gone bool) {
		fault := text(item, "data", o.name)
		if gone {
			fault = ""
		}

		if *o.fault.Swap(&fault) != fault {
			log.Printf("stub %s: fault %q", o.name, fault)
			o.again()
		}
	}

	o.persist(ctx, "faults", func() error {
		item, err := o.api.get(ctx, path+"/lab-faults")
		if refused(err, http.StatusNotFound) {
			return nil
		}

		if err == nil {
			learn(item, false)
		}

		return err
	})
	close(known)
	o.api.follow(ctx, path+"?fieldSelector=metadata.name=lab-faults", learn)
}

// lead does the leader's work until “ctx“ ends.
func (o *operatorDouble) lead(ctx context.Context) {
	log.Printf("stub %s: leads", o.name)

	o.mutex.Lock()
	o.owners = map[string]*owner{}
	o.mutex.Unlock()

	for i := range o.Rules {
		go o.api.follow(ctx, o.Rules[i].Path, func(item object, gone bool) { o.owned(ctx, &o.Rules[i], item, gone) })
	}

	if slices.ContainsFunc(o.Rules, func(r rule) bool { return len(r.Children) > 0 }) {
		for _, path := range []string{"/apis/apps/v1/statefulsets", "/apis/apps/v1/deployments", "/apis/apps/v1/daemonsets", "/api/v1/services"} {
			path += "?labelSelector=lab.trinode/operator=" + o.name
			go o.api.follow(ctx, path, func(item object, gone bool) { o.child(ctx, item, gone) })
		}
	}

	for _, name := range o.Duties {
		go duties[name](ctx, o)
	}
}

// owned is called with every custom resource that a rule is about.
func (o *operatorDouble) owned(ctx context.Context, r *rule, item object, gone bool) {
	o.mutex.Lock()
	defer o.mutex.Unlock()

	uid := text(item, "metadata", "uid")
	if gone {
		delete(o.owners, uid)

		return
	}

	found := o.owners[uid]
	if found == nil {
		found = &owner{children: map[string]object{}}
		o.owners[uid] = found
	}

	found.rule, found.item = r, item
	o.reconcile(ctx, found)
}

// child is called with every workload of this operator.
func (o *operatorDouble) child(ctx context.Context, item object, gone bool) {
	o.mutex.Lock()
	defer o.mutex.Unlock()

	for _, reference := range list(item, "metadata", "ownerReferences") {
		uid := text(reference, "uid")

		found := o.owners[uid]
		if found == nil {
			found = &owner{children: map[string]object{}} // its custom resource has not been seen yet
			o.owners[uid] = found
		}

		if gone {
			delete(found.children, text(item, "metadata", "uid"))
			found.done = ""
		} else {
			found.children[text(item, "metadata", "uid")] = item
		}

		if found.item != nil {
			o.reconcile(ctx, found)
		}
	}
}

func (o *operatorDouble) reconcile(ctx context.Context, found *owner) {
	name := text(found.item, "kind") + " " + text(found.item, "metadata", "name")
	fault := text(found.item, "metadata", "annotations", "lab.trinode/fault")

	if at(found.item, "metadata", "deletionTimestamp") != nil || o.faulty("silent") || fault == "silent" {
		return
	}

	workloads := 0

	if len(found.rule.Children) > 0 && fault != "failed" {
		made, count, err := o.applyChildren(ctx, found)
		if err != nil {
			log.Printf("stub %s: children of %s: %v", o.name, name, err)
			o.later(ctx, found)

			return
		}

		found.done, workloads = made, count
	}

	status := object{}

	if fault == "failed" {
		status["phase"] = "Failed"
		status["conditions"] = []any{object{"type": "Ready", "status": "False", "reason": "LabFault", "message": "made to fail by lab.trinode/fault"}}
	} else if found.rule.Status != "" {
		data := map[string]any{"ready": found.ready(workloads), "addresses": found.addresses()}
		for key, value := range found.item {
			data[key] = value
		}

		if err := expandInto(found.rule.Status, data, &status); err != nil {
			log.Printf("stub %s: status of %s: %v", o.name, name, err)

			return
		}
	}

	now, _ := found.item["status"].(object)
	keepTimes(status, now)

	if contains(now, status) {
		return
	}

	if err := o.api.mergeStatus(ctx, found.item, status); err != nil && !refused(err, http.StatusNotFound) {
		log.Printf("stub %s: %v", o.name, err)
		o.later(ctx, found)
	}
}

// later tries the custom resource again in two seconds, if it is still there.
func (o *operatorDouble) later(ctx context.Context, found *owner) {
	time.AfterFunc(2*time.Second, func() {
		o.mutex.Lock()
		defer o.mutex.Unlock()

		if ctx.Err() == nil && o.owners[text(found.item, "metadata", "uid")] == found {
			o.reconcile(ctx, found)
		}
	})
}

// applyChildren makes the custom resource's objects where they are not made from this generation yet. It returns a word for what was made, and the number of
// workloads among them.
func (o *operatorDouble) applyChildren(ctx context.Context, found *owner) (string, int, error) {
	var texts []string

	for _, template := range found.rule.Children {
		made, err := expand(template, found.item)
		if err != nil {
			return "", 0, err
		}

		if strings.TrimSpace(made) != "" {
			texts = append(texts, made)
		}
	}

	all, workloads := strings.Join(texts, "\n"), 0

	for _, made := range texts {
		var item object
		if err := json.Unmarshal([]byte(made), &item); err != nil {
			return "", 0, fmt.Errorf("%w in %s", err, made)
		}

		if kind := text(item, "kind"); kind == "StatefulSet" || kind == "Deployment" || kind == "DaemonSet" {
			workloads++
		}

		if all == found.done {
			continue
		}

		adopt(found.item, item, o.name)

		if _, err := o.api.apply(ctx, item); err != nil {
			return "", 0, err
		}
	}

	return all, workloads, nil
}

// adopt makes the custom resource the owner of the object, in the same namespace unless it says another.
func adopt(parent, item object, operator string) {
	metadata, _ := item["metadata"].(object)

	if _, named := metadata["namespace"]; !named {
		if namespace := text(parent, "metadata", "namespace"); namespace != "" {
			metadata["namespace"] = namespace
		}
	}

	labels, _ := metadata["labels"].(object)
	if labels == nil {
		labels = object{}
	}

	labels["lab.trinode/operator"] = operator
	metadata["labels"] = labels

	if metadata["namespace"] == at(parent, "metadata", "namespace") || text(parent, "metadata", "namespace") == "" {
		metadata["ownerReferences"] = []any{object{
			"apiVersion": parent["apiVersion"], "kind": parent["kind"], "controller": true,
			"name": at(parent, "metadata", "name"), "uid": at(parent, "metadata", "uid"),
		}}
	}
}

// ready tells whether all workloads are there and up to date, and the services have their addresses.
func (f *owner) ready(workloads int) bool {
	for _, child := range f.children {
		if text(child, "kind") == "Service" {
			if text(child, "spec", "type") == "LoadBalancer" && len(list(child, "status", "loadBalancer", "ingress")) == 0 {
				return false
			}

			continue
		}

		workloads--

		wanted, available := 1, number(child, "status", "readyReplicas")
		if at(child, "spec", "replicas") != nil {
			wanted = number(child, "spec", "replicas")
		}

		if text(child, "kind") == "DaemonSet" {
			wanted, available = number(child, "status", "desiredNumberScheduled"), number(child, "status", "numberReady")
		}

		if available < wanted || number(child, "status", "observedGeneration") < number(child, "metadata", "generation") {
			return false
		}
	}

	return workloads <= 0
}

// addresses are those of the LoadBalancer services.
func (f *owner) addresses() []string {
	found := []string{}

	for _, child := range f.children {
		for _, entry := range list(child, "status", "loadBalancer", "ingress") {
			found = append(found, text(entry, "ip"))
		}
	}

	return found
}
