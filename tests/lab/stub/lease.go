package main

import (
	"context"
	"log"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	leaseSeconds = 20
	renewEvery   = 7 * time.Second
)

// lease is a Lease of which one holder at a time acts.
type lease struct {
	api             *api
	namespace, name string
	identity        string
	held            atomic.Bool
}

func (l *lease) path() string {
	return "/apis/coordination.k8s.io/v1/namespaces/" + l.namespace + "/leases"
}

// keep tries to hold the lease until “ctx“ ends, then gives it up; “changed“ is called with each gain and loss.
func (l *lease) keep(ctx context.Context, changed func(held bool)) {
	for ctx.Err() == nil {
		held, err := l.take(ctx)
		if err != nil && ctx.Err() == nil {
			log.Print("stub lease: ", err)
		}

		if held != l.held.Load() {
			l.held.Store(held)
			changed(held)
		}

		select {
		case <-ctx.Done():
		case <-time.After(renewEvery):
		}
	}

	if l.held.Swap(false) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()

		_ = l.api.call(ctx, http.MethodPatch, l.path()+"/"+l.name, mergePatch, object{"spec": object{"holderIdentity": ""}}, nil)

		changed(false)
	}
}

func (l *lease) take(ctx context.Context) (bool, error) {
	wanted := object{"holderIdentity": l.identity, "leaseDurationSeconds": leaseSeconds, "renewTime": time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")}

	found, err := l.api.get(ctx, l.path()+"/"+l.name)
	if refused(err, http.StatusNotFound) {
		item := object{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": object{"name": l.name, "namespace": l.namespace}, "spec": wanted}
		err = l.api.call(ctx, http.MethodPost, l.path(), plainJSON, item, nil)

		return err == nil, err
	}

	if err != nil {
		return l.held.Load(), err
	}

	holder := text(found, "spec", "holderIdentity")
	renewed, _ := time.Parse(time.RFC3339Nano, text(found, "spec", "renewTime"))

	if holder != "" && holder != l.identity && time.Since(renewed) < leaseSeconds*time.Second {
		return false, nil
	}

	// With the version that was read: of two that find it free, the API server lets one have it.
	metadata := object{"resourceVersion": text(found, "metadata", "resourceVersion")}
	err = l.api.call(ctx, http.MethodPatch, l.path()+"/"+l.name, mergePatch, object{"metadata": metadata, "spec": wanted}, nil)

	return err == nil, err
}
