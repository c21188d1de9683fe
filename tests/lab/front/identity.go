package main

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	talosx509 "github.com/siderolabs/crypto/x509"
	"github.com/siderolabs/talos/pkg/machinery/constants"
)

const validity = 365 * 24 * time.Hour

// Identity holds the certificates that the front presents: a self-signed one of its own in maintenance mode (kept, so that its
// fingerprint is stable), and in normal operation one signed by the CA of the machine's own configuration.
//
// The CA's key is in a control plane's configuration, which the front sees pass. A worker's configuration has the CA's certificate
// only; the front of a worker takes the key that the front of a control plane left in the directory authorities, which the fronts of
// one lab share. (A real worker asks trustd on a control plane to sign, so it, too, is without a certificate until one is up.)
type Identity struct {
	state       string // directory, the front's own
	authorities string // directory, shared
	address     string

	mu          sync.Mutex
	maintenance *tls.Certificate
	foreign     *tls.Certificate
	authority   *authority
	pending     *authority
}

type authority struct {
	certificate *x509.Certificate
	pem         []byte
	key         crypto.Signer // nil: only the certificate is known
	keyPEM      []byte
}

// NewIdentity reads what is kept in the directory state, and makes the maintenance certificate if there is none yet.
func NewIdentity(state, authorities, address string) (*Identity, error) {
	identity := &Identity{state: state, authorities: authorities, address: address}

	for _, directory := range []string{state, authorities} {
		if err := os.MkdirAll(directory, 0o700); err != nil {
			return nil, err
		}
	}

	var err error

	if identity.maintenance, err = identity.keptCertificate("maintenance"); err != nil {
		return nil, err
	}

	if identity.foreign, err = identity.keptCertificate("foreign"); err != nil {
		return nil, err
	}

	certificate, err := os.ReadFile(identity.path("os-ca.crt"))
	if errors.Is(err, os.ErrNotExist) {
		return identity, nil
	}

	if err != nil {
		return nil, err
	}

	key, err := os.ReadFile(identity.path("os-ca.key"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}

	identity.authority, err = newAuthority(certificate, key)

	return identity, err
}

func (i *Identity) path(name string) string {
	return filepath.Join(i.state, name)
}

func newAuthority(certificate, key []byte) (*authority, error) {
	block, _ := pem.Decode(certificate)
	if block == nil {
		return nil, errors.New("the CA of the machine configuration is not PEM")
	}

	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the CA of the machine configuration: %w", err)
	}

	result := &authority{certificate: parsed, pem: certificate}

	if len(key) == 0 {
		return result, nil
	}

	pair, err := talosx509.NewCertificateAuthorityFromCertificateAndKey(&talosx509.PEMEncodedCertificateAndKey{Crt: certificate, Key: key})
	if err != nil {
		return nil, fmt.Errorf("the CA key of the machine configuration: %w", err)
	}

	signer, ok := pair.Key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("the CA key of the machine configuration is of the unusable type %T", pair.Key)
	}

	result.key, result.keyPEM = signer, key

	return result, nil
}

// Expect notes the CA of a configuration that is about to be applied.
func (i *Identity) Expect(certificate, key []byte) error {
	expected, err := newAuthority(certificate, key)
	if err != nil {
		return err
	}

	i.mu.Lock()
	defer i.mu.Unlock()

	i.pending = expected

	return nil
}

// Dismiss forgets the CA of a configuration that was refused.
func (i *Identity) Dismiss() {
	i.mu.Lock()
	defer i.mu.Unlock()

	i.pending = nil
}

// Adopt keeps the expected CA, since its configuration was accepted.
func (i *Identity) Adopt() error {
	i.mu.Lock()
	defer i.mu.Unlock()

	if i.pending == nil {
		return nil
	}

	i.authority, i.pending = i.pending, nil

	if err := os.WriteFile(i.path("os-ca.crt"), i.authority.pem, 0o600); err != nil {
		return err
	}

	if i.authority.key == nil {
		return removeIfThere(i.path("os-ca.key"))
	}

	for _, path := range []string{i.path("os-ca.key"), i.sharedKey(i.authority)} {
		if err := os.WriteFile(path, i.authority.keyPEM, 0o600); err != nil {
			return err
		}
	}

	return nil
}

// Worker tells whether the configuration is a worker's: it has no CA key.
func (i *Identity) Worker() bool {
	i.mu.Lock()
	defer i.mu.Unlock()

	current := i.authority
	if i.pending != nil {
		current = i.pending
	}

	return current != nil && current.key == nil
}

// Forget drops the CA: the machine was reset.
func (i *Identity) Forget() error {
	i.mu.Lock()
	defer i.mu.Unlock()

	i.authority, i.pending = nil, nil

	return errors.Join(removeIfThere(i.path("os-ca.crt")), removeIfThere(i.path("os-ca.key")))
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}

	return nil
}

func (i *Identity) sharedKey(a *authority) string {
	digest := sha256.Sum256(a.certificate.Raw)

	return filepath.Join(i.authorities, hex.EncodeToString(digest[:])+".key")
}

// signing returns the CA with its key; the pending one first, since the machine may be on it before its answer was seen here.
func (i *Identity) signing(server *x509.Certificate) (*authority, error) {
	i.mu.Lock()
	defer i.mu.Unlock()

	for _, candidate := range []*authority{i.authority, i.pending} {
		if candidate == nil {
			continue
		}

		if server != nil && server.CheckSignatureFrom(candidate.certificate) != nil {
			continue
		}

		if candidate.key != nil {
			return candidate, nil
		}

		key, err := os.ReadFile(i.sharedKey(candidate))
		if err != nil {
			return nil, fmt.Errorf("the configuration has no CA key (a worker's), and no control plane's front left one: %w", err)
		}

		return newAuthority(candidate.pem, key)
	}

	return nil, errors.New("no CA known that signed the machine's certificate: no configuration was applied through the front")
}

// ClientCertificate returns a certificate of the given roles (organizations), for calls to the machine whose server certificate is given.
func (i *Identity) ClientCertificate(server *x509.Certificate, organizations []string) (*tls.Certificate, error) {
	ca, err := i.signing(server)
	if err != nil {
		return nil, err
	}

	return ca.issue(&x509.Certificate{
		Subject:     pkix.Name{Organization: organizations},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// ServerTLS is the front's side of TLS for clients. In maintenance there is no client authentication, as in Talos. Otherwise the
// certificate has the names of the machine's own (server), and clients must have one of the same CA.
func (i *Identity) ServerTLS(stage Stage, server *x509.Certificate) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}}

	if stage == StageMaintenance {
		config.GetCertificate = i.choose(i.maintenance)

		return config, nil
	}

	ca, err := i.signing(server)
	if err != nil {
		return nil, err
	}

	certificate, err := ca.issue(&x509.Certificate{
		Subject:     server.Subject,
		DNSNames:    server.DNSNames,
		IPAddresses: server.IPAddresses,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return nil, err
	}

	config.GetCertificate = i.choose(certificate)
	config.ClientAuth = tls.RequireAndVerifyClientCert
	config.ClientCAs = x509.NewCertPool()
	config.ClientCAs.AddCert(ca.certificate)

	return config, nil
}

// choose presents the foreign certificate while the fault «certificate» is on: the file certificate-fault exists.
func (i *Identity) choose(own *tls.Certificate) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		if _, err := os.Stat(i.path("certificate-fault")); err == nil {
			return i.foreign, nil
		}

		return own, nil
	}
}

func (a *authority) issue(template *x509.Certificate) (*tls.Certificate, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}

	der, err := sign(template, a.certificate, public, a.key)
	if err != nil {
		return nil, err
	}

	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, nil
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}

	template.SerialNumber = serial
	template.NotBefore = time.Now().Add(-5 * time.Minute)
	template.NotAfter = time.Now().Add(validity)
	template.BasicConstraintsValid = true

	return x509.CreateCertificate(rand.Reader, template, parent, public, key)
}

// keptCertificate reads the self-signed certificate NAME.pem (certificate and key) of the state directory, or makes it.
func (i *Identity) keptCertificate(name string) (*tls.Certificate, error) {
	path := i.path(name + ".pem")

	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		if content, err = selfSigned(i.address); err != nil {
			return nil, err
		}

		err = os.WriteFile(path, content, 0o600)
	}

	if err != nil {
		return nil, err
	}

	certificate, err := tls.X509KeyPair(content, content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}

	return &certificate, nil
}

func selfSigned(address string) ([]byte, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}

	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: constants.MaintenanceServiceCommonName},
		IPAddresses: []net.IP{net.ParseIP(address), net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}

	der, err := sign(template, template, public, private)
	if err != nil {
		return nil, err
	}

	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}

	var content bytes.Buffer

	for _, block := range []*pem.Block{{Type: "CERTIFICATE", Bytes: der}, {Type: "PRIVATE KEY", Bytes: key}} {
		if err = pem.Encode(&content, block); err != nil {
			return nil, err
		}
	}

	return content.Bytes(), nil
}
