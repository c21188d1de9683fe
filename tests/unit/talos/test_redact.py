"""No secret in what is shown, and yet every change visible."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.talos.redact import REDACTED, redact, redact_pair, redact_text, secrets_in

HIDDEN = "correct-horse"


def pem(label: str, content: bytes) -> str:
    return f"-----BEGIN {label}-----\n{base64.b64encode(content).decode()}\n-----END {label}-----\n"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


# Every place in Talos's documents where its own redaction hides something, and the places where users put secrets.
def places(hidden: str) -> dict[str, Any]:
    return {
        "machine token": {"machine": {"token": hidden}},
        "authority's key": {"machine": {"ca": {"crt": "", "key": encoded(pem("ED25519 PRIVATE KEY", hidden.encode()))}}},
        "cluster secret": {"cluster": {"secret": hidden}},
        "bootstrap token": {"cluster": {"token": hidden}},
        "secretbox": {"cluster": {"secretboxEncryptionSecret": hidden}},
        "aescbc": {"cluster": {"aescbcEncryptionSecret": hidden}},
        "service account": {"cluster": {"serviceAccount": {"key": hidden}}},
        "registry password": {"machine": {"registries": {"config": {"r.example.com": {"auth": {"username": "u", "password": hidden}}}}}},
        "registry auth": {"kind": "RegistryAuthConfig", "name": "r.example.com", "auth": hidden},
        "registry identity token": {"kind": "RegistryAuthConfig", "name": "r.example.com", "identityToken": hidden},
        "registry client key": {"kind": "RegistryTLSConfig", "clientIdentity": {"cert": "c", "key": hidden}},
        "wireguard key": {"kind": "WireguardConfig", "privateKey": hidden, "peers": [{"publicKey": "p", "presharedKey": hidden}]},
        "wireguard of v1alpha1": {"machine": {"network": {"interfaces": [{"wireguard": {"privateKey": hidden}}]}}},
        "disk passphrase": {"kind": "VolumeConfig", "encryption": {"keys": [{"slot": 0, "static": {"passphrase": hidden}}]}},
        "hcloud token": {"kind": "HCloudVIPConfig", "apiToken": hidden},
        "siderolink": {"kind": "SideroLinkConfig", "apiUrl": f"grpc://192.0.2.1:8090?jointoken={hidden}&x=1"},
        "log destination": {"kind": "KmsgLogConfig", "url": f"tcp://user:{hidden}@192.0.2.1:3333"},
        "proxy": {"machine": {"env": {"https_proxy": f"http://user:{hidden}@192.0.2.1"}}},
        "environment by name": {"kind": "EnvironmentConfig", "variables": {"MY_API_KEY": hidden}},
        "extension's environment": {"kind": "ExtensionServiceConfig", "environment": [f"TS_SOMETHING={hidden}"]},
        "extension's file": {"kind": "ExtensionServiceConfig", "configFiles": [{"content": f"a: {hidden}\n", "mountPath": "/x"}]},
        "machine file": {"machine": {"files": [{"content": hidden, "path": "/var/x", "permissions": 384}]}},
        "inline manifest": {"cluster": {"inlineManifests": [{"name": "x", "contents": f"kind: Secret\ndata: {hidden}"}]}},
        "static pod": {"machine": {"pods": [{"kind": "Pod", "spec": {"containers": [{"env": [{"name": "DB_PASSWORD", "value": hidden}]}]}}]}},
        "secret object": {"machine": {"pods": [{"kind": "Secret", "stringData": {"anything": hidden}}]}},
        "header": {"cluster": {"extraManifestHeaders": {"X-Any": hidden}}},
        "argument": {"cluster": {"apiServer": {"extraArgs": {"oidc-client-secret": hidden}}}},
        "argument of several values": {"cluster": {"apiServer": {"extraArgs": {"some-token": [hidden, hidden]}}}},
        "kernel argument": {"machine": {"install": {"extraKernelArgs": [f"talos.config=https://192.0.2.1/c?token={hidden}"]}}},
        "nested under a secret name": {"x": {"credentials": {"deep": [{"er": hidden, "pin": 4711}]}}},
        "key in free text": {"machine": {"sysctls": {"a": pem("RSA PRIVATE KEY", hidden.encode())}}},
        "certificate with its key": {"machine": {"x": pem("CERTIFICATE", b"c") + pem("PRIVATE KEY", hidden.encode())}},
    }


SECRETS = places(HIDDEN)


@pytest.mark.parametrize("document", SECRETS.values(), ids=SECRETS.keys())
def test_nothing_secret_is_left(document: Any) -> None:
    shown = json.dumps(redact(document))
    assert HIDDEN not in shown
    assert base64.b64encode(HIDDEN.encode()).decode() not in shown
    assert "4711" not in shown
    assert "<redacted" in shown


@pytest.mark.parametrize("place", SECRETS)
def test_a_changed_secret_shows_that_it_changed(place: str) -> None:
    before, after = redact_pair(SECRETS[place], places("battery-staple")[place])
    assert before == redact(SECRETS[place])
    assert "battery-staple" not in json.dumps(after)
    assert json.dumps(after).replace(", changed", "") == json.dumps(before)
    assert "<redacted, changed" in json.dumps(after)


@pytest.mark.parametrize("document", SECRETS.values(), ids=SECRETS.keys())
def test_equal_secrets_show_no_difference(document: Any) -> None:
    before, after = redact_pair(document, json.loads(json.dumps(document)))
    assert before == after
    assert "changed" not in json.dumps(after)


@pytest.mark.parametrize(
    "document",
    [
        {"machine": {"type": "worker", "kubelet": {"image": "ghcr.io/siderolabs/kubelet:v1.36.3", "extraArgs": {"rotate-server-certificates": "true"}}}},
        {"cluster": {"apiServer": {"extraArgs": {"service-account-issuer": "https://x", "token-auth-file": "/var/t", "anonymous-auth": "false"}}}},
        {"machine": {"nodeTaints": {"a": "b:NoSchedule"}, "nodeLabels": {"topology.kubernetes.io/zone": "a"}}},
        {"tolerations": [{"key": "a", "operator": "Exists", "effect": "NoSchedule"}]},
        {"cluster": {"controlPlane": {"endpoint": "https://192.0.2.10:6443"}, "id": "x"}},
        {"kind": "WireguardConfig", "peers": [{"publicKey": "p", "endpoint": "192.0.2.1:51820"}]},
        {"kind": "VolumeConfig", "encryption": {"keys": [{"slot": 0, "tpm": {}, "lockToState": True}]}},
        {"kind": "RegistryMirrorConfig", "name": "ghcr.io", "endpoints": [{"url": "http://192.0.2.1:5000"}]},
    ],
)
def test_what_is_no_secret_is_shown(document: Any) -> None:
    assert redact(document) == document


def test_certificates_become_fingerprints() -> None:
    one, two = pem("CERTIFICATE", b"one"), pem("CERTIFICATE", b"two")
    shown = redact({"machine": {"ca": {"crt": encoded(one)}, "acceptedCAs": [{"crt": encoded(two)}]}, "certificates": one + two})
    assert shown["machine"]["ca"]["crt"] == "<certificate sha256:7692c3ad3540bb803c020b3aee66cd88>"
    assert shown["certificates"].count("sha256:") == 2
    assert shown["machine"]["acceptedCAs"][0]["crt"] != shown["machine"]["ca"]["crt"]


def test_added_and_removed_secrets() -> None:
    before, after = redact_pair({"a": {"token": "x"}}, {"a": {"password": "y"}, "b": [{"secret": "z"}]})
    assert before == {"a": {"token": REDACTED}}
    assert after == {"a": {"password": REDACTED}, "b": [{"secret": REDACTED}]}


def test_a_value_that_changes_its_shape() -> None:
    before, after = redact_pair({"credentials": "x", "a": 1}, {"credentials": {"user": "y"}, "a": [1]})
    assert before == {"credentials": REDACTED, "a": 1}
    assert after == {"credentials": {"user": REDACTED}, "a": [1]}


def test_input_is_not_changed_and_order_is_kept() -> None:
    document = {"b": 1, "token": "x", "a": [{"secret": "y"}]}
    shown = redact(document)
    assert document == {"b": 1, "token": "x", "a": [{"secret": "y"}]}
    assert list(shown) == ["b", "token", "a"]


@pytest.mark.parametrize("document", SECRETS.values(), ids=SECRETS.keys())
def test_the_texts_to_hide(document: Any) -> None:
    found = secrets_in(document)
    assert found
    shown = json.dumps(document)
    for secret in sorted(found, key=len, reverse=True):
        shown = shown.replace(json.dumps(secret)[1:-1], "***")
    assert HIDDEN not in shown
    assert encoded(HIDDEN) not in shown


def test_harmless_and_short_texts_are_not_hidden() -> None:
    assert secrets_in({"machine": {"type": "worker", "token": "abc", "env": {"A": "long enough"}}}) == set()


def test_text() -> None:
    assert redact_text(f"GET https://u:{HIDDEN}@example.com/?access_token={HIDDEN}&a=b") == "GET https://<redacted>@example.com/?access_token=<redacted>&a=b"
