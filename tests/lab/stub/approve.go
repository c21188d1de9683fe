package main

import (
	"context"
	"net/http"
	"time"
)

// approveCertificates approves every kubelet's request for a serving certificate.
func approveCertificates(ctx context.Context, o *operatorDouble) {
	const path = "/apis/certificates.k8s.io/v1/certificatesigningrequests"

	o.api.follow(ctx, path, func(item object, gone bool) {
		if gone || o.faulty("silent") || text(item, "spec", "signerName") != "kubernetes.io/kubelet-serving" || len(list(item, "status", "conditions")) > 0 {
			return
		}

		now := time.Now().UTC().Format(time.RFC3339)
		item["status"] = object{"conditions": []any{object{
			"type": "Approved", "status": "True", "reason": "LabDouble", "message": "approved by the double of " + o.name,
			"lastUpdateTime": now, "lastTransitionTime": now,
		}}}

		report(o.api.call(ctx, http.MethodPut, path+"/"+text(item, "metadata", "name")+"/approval", plainJSON, item, nil))
	})
}
