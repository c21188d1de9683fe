package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"time"
)

// pair is a certificate with its key and the authority that signed it, all PEM.
type pair struct {
	certificate, key, authority []byte
}

// request says what a certificate shall be for.
type request struct {
	name      string
	names     []string
	authority bool // it may sign others
	life      time.Duration
}

// issue makes a key and a certificate, signed by “issuer“ or, without one, by itself.
func issue(wanted request, issuer *pair) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}

	template := &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: wanted.name},
		NotBefore:             time.Now().Add(-time.Minute),
		NotAfter:              time.Now().Add(wanted.life),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		IsCA:                  wanted.authority,
	}
	if wanted.authority {
		template.KeyUsage |= x509.KeyUsageCertSign
		template.ExtKeyUsage = nil
	}

	for _, name := range wanted.names {
		if address := net.ParseIP(name); address != nil {
			template.IPAddresses = append(template.IPAddresses, address)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}

	parent, signer := template, crypto.Signer(key)

	if issuer != nil {
		loaded, err := tls.X509KeyPair(issuer.certificate, issuer.key)
		if err != nil {
			return nil, fmt.Errorf("the issuer's certificate: %w", err)
		}

		parent, signer = loaded.Leaf, loaded.PrivateKey.(crypto.Signer)
	}

	certificate, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}

	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}

	made := &pair{certificate: block("CERTIFICATE", certificate), key: block("PRIVATE KEY", encoded)}
	made.authority = made.certificate

	if issuer != nil {
		made.authority = issuer.authority
	}

	return made, nil
}

func block(kind string, content []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content})
}

func (p *pair) tls() *tls.Config {
	loaded, err := tls.X509KeyPair(p.certificate, p.key)
	if err != nil {
		report(err)
	}

	return &tls.Config{Certificates: []tls.Certificate{loaded}}
}

// secret is the pair as a Secret of type kubernetes.io/tls.
func (p *pair) secret(namespace, name string) object {
	return object{
		"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
		"metadata": object{"name": name, "namespace": namespace},
		"data": object{
			"tls.crt": base64.StdEncoding.EncodeToString(p.certificate),
			"tls.key": base64.StdEncoding.EncodeToString(p.key),
			"ca.crt":  base64.StdEncoding.EncodeToString(p.authority),
		},
	}
}

// pairOf reads a pair out of a Secret; nil when it holds none.
func pairOf(secret object) *pair {
	field := func(name string) []byte {
		content, _ := base64.StdEncoding.DecodeString(text(secret, "data", name))

		return content
	}
	found := &pair{certificate: field("tls.crt"), key: field("tls.key"), authority: field("ca.crt")}

	if len(found.certificate) == 0 || len(found.key) == 0 {
		return nil
	}

	if len(found.authority) == 0 {
		found.authority = found.certificate
	}

	return found
}

// sharedPair reads the Secret that all replicas share, or makes it, if it may: the first to create it wins.
func sharedPair(ctx context.Context, o *operatorDouble, name string, names []string, may bool) (*pair, error) {
	collection := "/api/v1/namespaces/" + o.namespace + "/secrets"

	for {
		secret, err := o.api.get(ctx, collection+"/"+name)
		if err == nil {
			if found := pairOf(secret); found != nil {
				return found, nil
			}

			return nil, fmt.Errorf("the Secret %s holds no certificate (yet)", name)
		}

		if !refused(err, http.StatusNotFound) || !may {
			return nil, err
		}

		authority, err := issue(request{name: o.name + " (double)", authority: true, life: 10 * 365 * 24 * time.Hour}, nil)
		if err != nil {
			return nil, err
		}

		made, err := issue(request{name: names[0], names: names, life: 10 * 365 * 24 * time.Hour}, authority)
		if err != nil {
			return nil, err
		}

		err = o.api.call(ctx, http.MethodPost, collection, plainJSON, made.secret(o.namespace, name), nil)
		if err != nil && !refused(err, http.StatusConflict) {
			return nil, err
		}
	}
}
