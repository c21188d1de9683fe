package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"time"
)

const sealingKey = "sealedsecrets.bitnami.com/sealed-secrets-key"

// unseal does the work of the Sealed Secrets controller: it has an RSA key in a Secret, publishes its certificate at /v1/cert.pem, and makes Secrets out of
// SealedSecrets that kubeseal made with it. As the real one, it looks for its keys only when it starts.
func unseal(ctx context.Context, o *operatorDouble) {
	var keys []*rsa.PrivateKey

	o.persist(ctx, "sealing key", func() error {
		found, certificate, err := sealingKeys(ctx, o)
		if err == nil {
			keys = found
			answers.set("/v1/cert.pem", answer{Type: "application/x-pem-file", Text: string(certificate)})
		}

		return err
	})

	o.api.follow(ctx, "/apis/bitnami.com/v1alpha1/sealedsecrets", func(item object, gone bool) {
		if gone || at(item, "metadata", "deletionTimestamp") != nil || o.faulty("silent") {
			return
		}

		condition := object{"type": "Synced", "status": "True"}
		if err := open(ctx, o, keys, item); err != nil {
			condition = object{"type": "Synced", "status": "False", "reason": "ErrUnsealFailed", "message": err.Error()}
		}

		status := object{"conditions": []any{condition}, "observedGeneration": at(item, "metadata", "generation")}
		keepTimes(status, item["status"])

		if !contains(item["status"], status) {
			report(o.api.mergeStatus(ctx, item, status))
		}
	})
}

// sealingKeys gives all active keys and the certificate of the newest; it makes a key when there is none.
func sealingKeys(ctx context.Context, o *operatorDouble) ([]*rsa.PrivateKey, []byte, error) {
	collection := "/api/v1/namespaces/" + o.namespace + "/secrets"

	found, err := o.api.get(ctx, collection+"?labelSelector="+url.QueryEscape(sealingKey+"=active"))
	if err != nil {
		return nil, nil, err
	}

	secrets := list(found, "items")
	if len(secrets) == 0 {
		made, err := newSealingKey(o.namespace)
		if err != nil {
			return nil, nil, err
		}

		if err = o.api.call(ctx, http.MethodPost, collection, plainJSON, made, &made); err != nil {
			return nil, nil, err
		}

		secrets = []object{made}
	}

	var (
		keys   []*rsa.PrivateKey
		newest string
		latest []byte
	)

	for _, secret := range secrets {
		content := pairOf(secret)
		if content == nil {
			return nil, nil, fmt.Errorf("the Secret %s holds no key", text(secret, "metadata", "name"))
		}

		key, err := parseRSA(content.key)
		if err != nil {
			return nil, nil, err
		}

		keys = append(keys, key)

		if created := text(secret, "metadata", "creationTimestamp"); created >= newest {
			newest, latest = created, content.certificate
		}
	}

	return keys, latest, nil
}

func parseRSA(content []byte) (*rsa.PrivateKey, error) {
	decoded, _ := pem.Decode(content)
	if decoded == nil {
		return nil, errors.New("the sealing key is not PEM")
	}

	if key, err := x509.ParsePKCS1PrivateKey(decoded.Bytes); err == nil {
		return key, nil
	}

	found, err := x509.ParsePKCS8PrivateKey(decoded.Bytes)
	if err != nil {
		return nil, err
	}

	key, ok := found.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("the sealing key is not RSA")
	}

	return key, nil
}

func newSealingKey(namespace string) (object, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}

	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageEncipherOnly,
	}

	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}

	return object{
		"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
		"metadata": object{"generateName": "sealed-secrets-key", "namespace": namespace, "labels": object{sealingKey: "active"}},
		"data": object{
			"tls.crt": base64.StdEncoding.EncodeToString(block("CERTIFICATE", certificate)),
			"tls.key": base64.StdEncoding.EncodeToString(block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))),
		},
	}, nil
}

// open makes the Secret of a SealedSecret.
func open(ctx context.Context, o *operatorDouble, keys []*rsa.PrivateKey, item object) error {
	namespace, name := text(item, "metadata", "namespace"), text(item, "metadata", "name")
	label := namespace + "/" + name

	if text(item, "metadata", "annotations", "sealedsecrets.bitnami.com/namespace-wide") == "true" {
		label = namespace
	}

	if text(item, "metadata", "annotations", "sealedsecrets.bitnami.com/cluster-wide") == "true" {
		label = ""
	}

	data, _ := at(item, "spec", "template", "data").(object)
	plain, sealed := object{}, object{}

	for key, value := range data {
		plain[key] = value
	}

	encrypted, _ := at(item, "spec", "encryptedData").(object)
	for key, value := range encrypted {
		content, err := decrypt(keys, fmt.Sprint(value), label)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}

		sealed[key] = base64.StdEncoding.EncodeToString(content)
	}

	secret := object{"apiVersion": "v1", "kind": "Secret", "metadata": object{"name": name}, "data": sealed, "stringData": plain}

	for _, part := range []string{"labels", "annotations"} {
		if found := at(item, "spec", "template", "metadata", part); found != nil {
			secret["metadata"].(object)[part] = found
		}
	}

	if kind := text(item, "spec", "template", "type"); kind != "" {
		secret["type"] = kind
	}

	adopt(item, secret, o.name)

	_, err := o.api.apply(ctx, secret)

	return err
}

// decrypt undoes kubeseal's encryption: the length and bytes of a session key under RSA-OAEP with SHA-256, then the content under AES-GCM with that key,
// which is used once and so has an empty nonce.
func decrypt(keys []*rsa.PrivateKey, encoded, label string) ([]byte, error) {
	content, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, err
	}

	if len(content) < 2 || len(content) < 2+int(binary.BigEndian.Uint16(content)) {
		return nil, errors.New("it is too short")
	}

	end := 2 + int(binary.BigEndian.Uint16(content))

	for _, key := range keys {
		session, err := rsa.DecryptOAEP(sha256.New(), rand.Reader, key, content[2:end], []byte(label))
		if err != nil {
			continue
		}

		cipherBlock, err := aes.NewCipher(session)
		if err != nil {
			return nil, err
		}

		mode, err := cipher.NewGCM(cipherBlock)
		if err != nil {
			return nil, err
		}

		return mode.Open(nil, make([]byte, mode.NonceSize()), content[end:], nil)
	}

	return nil, errors.New("no key could decrypt secret")
}
