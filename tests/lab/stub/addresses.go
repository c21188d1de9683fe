package main

import (
	"context"
	"log"
	"net/http"
	"net/netip"
	"strings"
	"sync"
)

const pools = "/apis/cilium.io/v2/ciliumloadbalancerippools"

// addressing gives services of type LoadBalancer an address out of Cilium's pools, as its operator does.
type addressing struct {
	*operatorDouble
	mutex    sync.Mutex
	pools    map[string]object
	services map[string]object
}

func giveAddresses(ctx context.Context, o *operatorDouble) {
	work := &addressing{operatorDouble: o, pools: map[string]object{}, services: map[string]object{}}

	learn := func(into map[string]object) func(object, bool) {
		return func(item object, gone bool) {
			work.mutex.Lock()
			defer work.mutex.Unlock()

			if gone {
				delete(into, text(item, "metadata", "uid"))
			} else {
				into[text(item, "metadata", "uid")] = item
			}

			if !work.faulty("silent") {
				work.assign(ctx)
			}
		}
	}

	go o.api.follow(ctx, pools, learn(work.pools))

	o.api.follow(ctx, "/api/v1/services", learn(work.services))
}

// assign gives an address to each service that wants one and has none.
func (w *addressing) assign(ctx context.Context) {
	taken := map[string]bool{}

	for _, service := range w.services {
		for _, entry := range list(service, "status", "loadBalancer", "ingress") {
			taken[text(entry, "ip")] = true
		}
	}

	for _, service := range w.services {
		if text(service, "spec", "type") != "LoadBalancer" || len(list(service, "status", "loadBalancer", "ingress")) > 0 {
			continue
		}

		address := w.free(taken, text(service, "metadata", "annotations", "lbipam.cilium.io/ips"))
		if address == "" {
			continue
		}

		taken[address] = true
		name := text(service, "metadata", "namespace") + "/services/" + text(service, "metadata", "name")
		status := object{"loadBalancer": object{"ingress": []any{object{"ip": address}}}}

		if err := w.api.call(ctx, http.MethodPatch, "/api/v1/namespaces/"+name+"/status", mergePatch, object{"status": status}, nil); err != nil {
			report(err)
		} else {
			log.Printf("stub %s: %s for %s", w.name, address, name)
		}
	}
}

// free is the first address of the pools that nobody has, or the wanted ones' first that a pool holds.
func (w *addressing) free(taken map[string]bool, wanted string) string {
	for _, pool := range w.pools {
		if at(pool, "spec", "disabled") == true {
			continue
		}

		for _, block := range list(pool, "spec", "blocks") {
			first, last := bounds(block)
			if !first.IsValid() {
				continue
			}

			for candidate := first; candidate.IsValid() && candidate.Compare(last) <= 0; candidate = candidate.Next() {
				name := candidate.String()
				if !taken[name] && (wanted == "" || strings.Contains(","+wanted+",", ","+name+",")) {
					return name
				}
			}
		}
	}

	return ""
}

// bounds are the first and last address of a pool's block, a CIDR or a start and a stop.
func bounds(block object) (first, last netip.Addr) {
	if network, err := netip.ParsePrefix(text(block, "cidr")); err == nil {
		first = network.Masked().Addr()
		last = first

		for next := first; network.Contains(next); next = next.Next() {
			last = next
		}

		return first, last
	}

	first, _ = netip.ParseAddr(text(block, "start"))
	last = first

	if stop, err := netip.ParseAddr(text(block, "stop")); err == nil {
		last = stop
	}

	return first, last
}
