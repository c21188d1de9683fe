package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const provisionedBy = "pv.kubernetes.io/provisioned-by"

// provisionVolumes stands in for Ceph's CSI drivers: claims of a storage class whose provisioner is one of theirs get a directory on the node where the pod
// runs. It is not the same directory on another node: what a pod wrote stays behind when it moves. Nothing is provisioned before a CephCluster is ready.
func provisionVolumes(ctx context.Context, o *operatorDouble) {
	go o.api.follow(ctx, "/api/v1/persistentvolumes", func(volume object, gone bool) {
		released := text(volume, "status", "phase") == "Released" && text(volume, "spec", "persistentVolumeReclaimPolicy") == "Delete"
		if !gone && released && strings.HasSuffix(text(volume, "metadata", "annotations", provisionedBy), ".csi.ceph.com") {
			report(o.api.call(ctx, http.MethodDelete, "/api/v1/persistentvolumes/"+text(volume, "metadata", "name"), "", nil, nil))
		}
	})

	o.api.follow(ctx, "/api/v1/persistentvolumeclaims", func(claim object, gone bool) {
		if !gone && text(claim, "spec", "volumeName") == "" && at(claim, "metadata", "deletionTimestamp") == nil {
			provisionWhenReady(ctx, o, claim)
		}
	})
}

func provisionWhenReady(ctx context.Context, o *operatorDouble, claim object) {
	if ctx.Err() != nil || o.faulty("silent") {
		return
	}

	done, err := provision(ctx, o, claim)
	report(err)

	if !done {
		time.AfterFunc(2*time.Second, func() { provisionWhenReady(ctx, o, claim) })
	}
}

// provision makes the volume of a claim. It is done also when the claim is none of Ceph's, or gone.
func provision(ctx context.Context, o *operatorDouble, claim object) (bool, error) {
	name := text(claim, "spec", "storageClassName")
	if name == "" {
		return true, nil
	}

	_, err := o.api.get(ctx, "/api/v1/namespaces/"+text(claim, "metadata", "namespace")+"/persistentvolumeclaims/"+text(claim, "metadata", "name"))
	if refused(err, http.StatusNotFound) {
		return true, nil
	}

	class, err := o.api.get(ctx, "/apis/storage.k8s.io/v1/storageclasses/"+name)
	if refused(err, http.StatusNotFound) {
		return false, nil
	}

	if err != nil {
		return false, err
	}

	provisioner := text(class, "provisioner")
	if !strings.HasSuffix(provisioner, ".csi.ceph.com") {
		return true, nil
	}

	if ready, err := cephReady(ctx, o); !ready {
		return false, err
	}

	uid := text(claim, "metadata", "uid")
	policy := text(class, "reclaimPolicy")

	volume := object{
		"apiVersion": "v1", "kind": "PersistentVolume",
		"metadata": object{"name": "pvc-" + uid, "annotations": object{provisionedBy: provisioner}},
		"spec": object{
			"capacity":                      at(claim, "spec", "resources", "requests"),
			"accessModes":                   at(claim, "spec", "accessModes"),
			"persistentVolumeReclaimPolicy": policy,
			"storageClassName":              name,
			// The kubelet's container sees this directory, and few others.
			"hostPath": object{"path": "/var/lib/kubelet/lab-volumes/" + uid, "type": "DirectoryOrCreate"},
			"claimRef": object{
				"apiVersion": "v1", "kind": "PersistentVolumeClaim", "uid": uid,
				"namespace": at(claim, "metadata", "namespace"), "name": at(claim, "metadata", "name"),
			},
		},
	}

	if err = o.api.call(ctx, http.MethodPost, "/api/v1/persistentvolumes", plainJSON, volume, nil); refused(err, http.StatusConflict) {
		err = nil
	}

	if err != nil {
		return false, fmt.Errorf("volume of %s: %w", text(claim, "metadata", "name"), err)
	}

	return true, nil
}

func cephReady(ctx context.Context, o *operatorDouble) (bool, error) {
	found, err := o.api.get(ctx, "/apis/ceph.rook.io/v1/cephclusters")
	if err != nil {
		return false, err
	}

	for _, cluster := range list(found, "items") {
		if text(cluster, "status", "phase") == "Ready" {
			return true, nil
		}
	}

	return false, nil
}
