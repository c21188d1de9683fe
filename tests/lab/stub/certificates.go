package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log"
	"maps"
	"net/http"
	"sync"
	"time"
)

const certManager = "/apis/cert-manager.io/v1/"

// ofCertificate marks the Secrets of Certificates, as cert-manager does.
const ofCertificate = "controller.cert-manager.io/fao"

// issuing does the work of cert-manager's controller: issuers are Ready, and Certificates get real ones in their Secrets. An ACME issuer's are signed by
// themselves: nobody out there would answer.
type issuing struct {
	*operatorDouble
	mutex        sync.Mutex
	certificates map[string]object // by namespace/name of the Secret
}

func issueCertificates(ctx context.Context, o *operatorDouble) {
	work := &issuing{operatorDouble: o, certificates: map[string]object{}}

	for _, resource := range []string{"issuers", "clusterissuers"} {
		go o.api.follow(ctx, certManager+resource, func(item object, gone bool) {
			if !gone {
				work.again(ctx, "issuer "+text(item, "metadata", "name"), func() error { return work.issuer(ctx, item) })
			}
		})
	}

	go o.api.follow(ctx, "/api/v1/secrets?labelSelector="+ofCertificate+"=true", func(secret object, gone bool) {
		if gone {
			work.mutex.Lock()
			item := work.certificates[text(secret, "metadata", "namespace")+"/"+text(secret, "metadata", "name")]
			work.mutex.Unlock()

			if item != nil {
				work.again(ctx, "certificate "+text(item, "metadata", "name"), func() error { return work.certificate(ctx, item) })
			}
		}
	})

	o.api.follow(ctx, certManager+"certificates", func(item object, gone bool) {
		key := text(item, "metadata", "namespace") + "/" + text(item, "spec", "secretName")

		work.mutex.Lock()
		work.certificates[key] = item

		if gone {
			delete(work.certificates, key)
		}
		work.mutex.Unlock()

		if !gone {
			work.again(ctx, "certificate "+text(item, "metadata", "name"), func() error { return work.certificate(ctx, item) })
		}
	})
}

// again does something now, and each two seconds until it succeeds.
func (w *issuing) again(ctx context.Context, what string, act func() error) {
	if ctx.Err() != nil || w.faulty("silent") {
		return
	}

	if err := act(); err != nil && !refused(err, http.StatusConflict) {
		log.Printf("stub %s: %s: %v", w.name, what, err)
		time.AfterFunc(2*time.Second, func() { w.again(ctx, what, act) })
	}
}

func (w *issuing) issuer(ctx context.Context, item object) error {
	condition := object{"type": "Ready", "status": "True", "reason": "IsReady", "message": "a double says so", "observedGeneration": at(item, "metadata", "generation")}

	if name := text(item, "spec", "ca", "secretName"); name != "" {
		if _, err := w.authority(ctx, item); err != nil {
			condition["status"], condition["reason"], condition["message"] = "False", "ErrGetKeyPair", err.Error()

			if saved := w.save(ctx, item, object{"conditions": []any{condition}}); saved != nil {
				return saved
			}

			return err
		}
	}

	return w.save(ctx, item, object{"conditions": []any{condition}})
}

// save writes a status where it says anything new, unless the object is gone.
func (w *issuing) save(ctx context.Context, item, status object) error {
	path, err := w.api.path(ctx, item)
	if err != nil {
		return err
	}

	now, err := w.api.get(ctx, path)
	if refused(err, http.StatusNotFound) {
		return nil
	}

	if err != nil {
		return err
	}

	if text(now, "metadata", "annotations", "lab.trinode/fault") == "failed" {
		status = object{"conditions": []any{object{"type": "Ready", "status": "False", "reason": "LabFault", "message": "made to fail by lab.trinode/fault"}}}
	}

	keepTimes(status, now["status"])

	if contains(now["status"], status) {
		return nil
	}

	return w.api.mergeStatus(ctx, item, status)
}

// authority is the key pair of a CA issuer; nil for an issuer of another kind.
func (w *issuing) authority(ctx context.Context, issuer object) (*pair, error) {
	name := text(issuer, "spec", "ca", "secretName")
	if name == "" {
		return nil, nil
	}

	namespace := text(issuer, "metadata", "namespace")
	if namespace == "" {
		namespace = w.namespace // of a ClusterIssuer: cert-manager's own
	}

	secret, err := w.api.get(ctx, "/api/v1/namespaces/"+namespace+"/secrets/"+name)
	if err != nil {
		return nil, err
	}

	if found := pairOf(secret); found != nil {
		return found, nil
	}

	return nil, fmt.Errorf("the Secret %s/%s holds no key pair", namespace, name)
}

func (w *issuing) certificate(ctx context.Context, item object) error {
	if at(item, "metadata", "deletionTimestamp") != nil || text(item, "metadata", "annotations", "lab.trinode/fault") == "silent" {
		return nil
	}

	namespace, name := text(item, "metadata", "namespace"), text(item, "spec", "secretName")

	path := certManager + "clusterissuers/" + text(item, "spec", "issuerRef", "name")
	if kind := text(item, "spec", "issuerRef", "kind"); kind == "" || kind == "Issuer" {
		path = certManager + "namespaces/" + namespace + "/issuers/" + text(item, "spec", "issuerRef", "name")
	}

	issuer, err := w.api.get(ctx, path)
	if err != nil {
		return err
	}

	signer, err := w.authority(ctx, issuer)
	if err != nil {
		return err
	}

	secret, err := w.api.get(ctx, "/api/v1/namespaces/"+namespace+"/secrets/"+name)
	if err != nil && !refused(err, http.StatusNotFound) {
		return err
	}

	wanted := fingerprint(item["spec"])
	if pairOf(secret) == nil || text(secret, "metadata", "annotations", "lab.trinode/request") != wanted {
		if secret, err = w.sign(ctx, item, signer, wanted); err != nil {
			return err
		}
	}

	found, _ := pem.Decode(pairOf(secret).certificate)
	if found == nil {
		return fmt.Errorf("the Secret %s/%s holds no certificate", namespace, name)
	}

	parsed, err := x509.ParseCertificate(found.Bytes)
	if err != nil {
		return err
	}

	ready := object{
		"type": "Ready", "status": "True", "reason": "Ready", "message": "Certificate is up to date and has not expired",
		"observedGeneration": at(item, "metadata", "generation"),
	}

	return w.save(ctx, item, object{
		"conditions":  []any{ready},
		"notBefore":   parsed.NotBefore.UTC().Format(time.RFC3339),
		"notAfter":    parsed.NotAfter.UTC().Format(time.RFC3339),
		"renewalTime": parsed.NotBefore.Add(parsed.NotAfter.Sub(parsed.NotBefore) * 2 / 3).UTC().Format(time.RFC3339),
		"revision":    1,
	})
}

// sign makes the Certificate's Secret.
func (w *issuing) sign(ctx context.Context, item object, signer *pair, fingerprint string) (object, error) {
	wanted := request{name: text(item, "spec", "commonName"), authority: at(item, "spec", "isCA") == true, life: 90 * 24 * time.Hour}

	for _, field := range []string{"dnsNames", "ipAddresses"} {
		names, _ := at(item, "spec", field).([]any)
		for _, name := range names {
			wanted.names = append(wanted.names, fmt.Sprint(name))
		}
	}

	if duration, err := time.ParseDuration(text(item, "spec", "duration")); err == nil {
		wanted.life = duration
	}

	made, err := issue(wanted, signer)
	if err != nil {
		return nil, err
	}

	secret := made.secret(text(item, "metadata", "namespace"), text(item, "spec", "secretName"))
	metadata, _ := secret["metadata"].(object)

	labels := object{ofCertificate: "true"}
	if template, ok := at(item, "spec", "secretTemplate", "labels").(object); ok {
		maps.Copy(labels, template)
	}

	metadata["labels"] = labels
	metadata["annotations"] = object{
		"cert-manager.io/certificate-name": at(item, "metadata", "name"),
		"cert-manager.io/issuer-name":      at(item, "spec", "issuerRef", "name"),
		"lab.trinode/request":              fingerprint,
	}

	return w.api.apply(ctx, secret)
}

func fingerprint(item any) string {
	content, _ := json.Marshal(item)

	return fmt.Sprintf("%x", sha256.Sum256(content))[:16]
}
