package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func decoded(t *testing.T, content string) object {
	t.Helper()

	var item object
	if err := json.Unmarshal([]byte(content), &item); err != nil {
		t.Fatal(err)
	}

	return item
}

func TestTemplatesGiveNumbersObjectsAndDefaults(t *testing.T) {
	item := decoded(t, `{"metadata": {"name": "a", "annotations": {"x/y": "z"}}, "spec": {"instances": 3, "nodes": [{"devices": [1, 2]}, {"devices": [3]}]}}`)

	for template, wanted := range map[string]string{
		"<< int (at . `spec.instances` 1.0) >>":                 "3",
		"<< int (at . `spec.other.deep` 1.0) >>":                "1",
		"<< json (at . `metadata.annotations` (dict)) >>":       `{"x/y":"z"}`,
		"<< key .metadata `annotations` `x/y` `none` >>":        "z",
		"<< key .metadata `annotations` `x/z` `none` >>":        "none",
		"<< lengths (at . `spec.nodes` ``) `devices` >>":        "3",
		"<< lengths (at . `spec.other` ``) `devices` >>":        "0",
		"<< if gt (at . `spec.instances` 1.0) 1.0 >>m<< end >>": "m",
	} {
		made, err := expand(template, item)
		if err != nil || made != wanted {
			t.Errorf("%s: %q, %v instead of %q", template, made, err, wanted)
		}
	}
}

func TestConditionsKeepTheTimeOfTheirLastChange(t *testing.T) {
	before := decoded(t, `{"conditions": [{"type": "A", "status": "True", "lastTransitionTime": "then"}, {"type": "B", "status": "True", "lastTransitionTime": "then"}]}`)
	status := decoded(t, `{"conditions": [{"type": "A", "status": "True"}, {"type": "B", "status": "False"}]}`)
	keepTimes(status, before)

	conditions := list(status, "conditions")
	if text(conditions[0], "lastTransitionTime") != "then" || text(conditions[1], "lastTransitionTime") == "then" {
		t.Errorf("%v", conditions)
	}

	if !contains(decoded(t, `{"a": {"b": 1, "c": 2}}`), decoded(t, `{"a": {"b": 1}}`)) || contains(before, status) {
		t.Error("contains")
	}
}

func TestCertificatesVerifyAgainstTheirAuthority(t *testing.T) {
	authority, err := issue(request{name: "root", authority: true, life: time.Hour}, nil)
	if err != nil {
		t.Fatal(err)
	}

	made, err := issue(request{names: []string{"*.example.org", "10.0.0.1"}, life: time.Hour}, authority)
	if err != nil {
		t.Fatal(err)
	}

	loaded, err := tls.X509KeyPair(made.certificate, made.key)
	if err != nil {
		t.Fatal(err)
	}

	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(made.authority)

	for _, name := range []string{"a.example.org", "10.0.0.1"} {
		if _, err = loaded.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: pool}); err != nil {
			t.Error(err)
		}
	}

	if again := pairOf(made.secret("a", "b")); again == nil || string(again.key) != string(made.key) {
		t.Error("a pair does not come back out of its Secret")
	}
}

func TestForwardingLeavesOutWhatDoesNotAnswer(t *testing.T) {
	dead, _ := net.Listen("tcp", "127.0.0.1:0")
	dead.Close()

	live, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()

	go func() {
		accepted, err := live.Accept()
		if err != nil {
			return
		}

		content := make([]byte, 4)
		_, _ = io.ReadFull(accepted, content)
		_, _ = accepted.Write(append(content, " back"...))
		accepted.Close()
	}()

	near, far := net.Pipe()

	go connect(far, []string{dead.Addr().String(), live.Addr().String()})

	if _, err = near.Write([]byte("here")); err != nil {
		t.Fatal(err)
	}

	if got, _ := io.ReadAll(near); string(got) != "here back" {
		t.Errorf("%q", got)
	}
}

func TestAddressesOfPools(t *testing.T) {
	for block, wanted := range map[string][2]string{
		`{"cidr": "10.0.0.8/30"}`:                       {"10.0.0.8", "10.0.0.11"},
		`{"start": "10.0.0.200", "stop": "10.0.0.220"}`: {"10.0.0.200", "10.0.0.220"},
		`{"start": "10.0.0.200"}`:                       {"10.0.0.200", "10.0.0.200"},
	} {
		if first, last := bounds(decoded(t, block)); first.String() != wanted[0] || last.String() != wanted[1] {
			t.Errorf("%s: %s to %s", block, first, last)
		}
	}
}

func TestStandInAnswersWithAndWithoutTLSAndGRPC(t *testing.T) {
	made, err := issue(request{name: "here", life: time.Hour}, nil)
	if err != nil {
		t.Fatal(err)
	}

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	server := &http.Server{Handler: http.HandlerFunc(succeed)}
	go func() { _ = server.Serve(&eitherListener{listener, made.tls()}) }()
	defer server.Close()

	silent, err := net.Dial("tcp", listener.Addr().String()) // must not hold up the others
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()

	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}

	for _, scheme := range []string{"http://", "https://"} {
		response, err := client.Get(scheme + listener.Addr().String() + "/ready")
		if err != nil {
			t.Fatal(err)
		}

		response.Body.Close()

		if response.StatusCode != http.StatusOK {
			t.Error(scheme, response.Status)
		}
	}

	recorder := httptest.NewRecorder()
	health := httptest.NewRequest(http.MethodPost, "/grpc.health.v1.Health/Check", nil)
	health.Header.Set("Content-Type", "application/grpc")
	succeed(recorder, health)

	answer := recorder.Result()
	if body, _ := io.ReadAll(answer.Body); answer.Trailer.Get("Grpc-Status") != "0" || len(body) != 7 {
		t.Errorf("%v %v", answer.Trailer, body)
	}
}
