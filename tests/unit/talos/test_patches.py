"""Our patch from the options, the user's patches, the install disk."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.talos.patches import base_patch, check_networks, install_disk, secrets_of, user_patches
from ansible_collections.trinode.platform.plugins.module_utils.talos.render_options import with_defaults


def options(**changes: Any) -> dict[str, Any]:
    return with_defaults({"hostname": "m1", "install_disk": {"serial": "S1"}, **changes})


def documents(**changes: Any) -> list[dict[str, Any]]:
    return [json.loads(document) for document in base_patch(options(**changes), "installer:1").text.split("\n---\n")]


@pytest.mark.parametrize(
    ("selector", "keys"),
    [
        ({"serial": " S1 "}, {"diskSelector": {"serial": "S1"}}),
        ({"serial": 4711}, {"diskSelector": {"serial": "4711"}}),
        ({"wwid": "naa.5002538e40a0b1c2"}, {"diskSelector": {"wwid": "naa.5002538e40a0b1c2"}}),
        ({"by_id": "nvme-Samsung_1"}, {"disk": "/dev/disk/by-id/nvme-Samsung_1"}),
        ({"by_id": "/dev/disk/by-id/nvme-Samsung_1"}, {"disk": "/dev/disk/by-id/nvme-Samsung_1"}),
        ({"size": "<= 1TB", "type": "ssd"}, {"diskSelector": {"size": "<= 1TB", "type": "ssd"}}),
        ({"bus_path": "/pci0000:00/*", "model": "WDC*"}, {"diskSelector": {"busPath": "/pci0000:00/*", "model": "WDC*"}}),
    ],
)
def test_install_disk(selector: dict[str, Any], keys: dict[str, Any]) -> None:
    assert install_disk(selector, "metal") == keys


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ({}, "no install disk is chosen"),
        ({"match": "transport == 'nvme'"}, "only a task that asks the machine"),
        ({"name": "sda"}, r"cannot be chosen by name \(names of the kernel change from boot to boot\)"),
        ({"disk": "/dev/sda"}, "cannot be chosen by disk"),
        ({"colour": "red"}, "cannot be chosen by colour. Use serial"),
        ({"by_id": "/dev/sda"}, "unlike /dev/sda"),
        ({"by_id": "/dev/disk/by-id/"}, "Give a name under"),
        ({"by_id": "../../sda"}, "Give a name under"),
        ({"serial": "S*"}, "serial is a pattern: 'S\\*'"),
        ({"serial": ""}, "serial is empty"),
        ({"serial": True}, "serial is empty or not a text"),
        ({"serial": "S1", "wwid": "w"}, "serial names one disk"),
        ({"wwid": "w", "model": "m"}, "wwid names one disk"),
        ({"type": "floppy"}, "It is one of ssd, hdd, nvme, sd"),
    ],
)
def test_install_disk_refused(selector: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        install_disk(selector, "metal")


def test_a_container_names_a_disk_that_cannot_exist() -> None:
    assert install_disk({}, "container") == {"disk": "/dev/disk/by-id/none-in-a-container"}
    assert install_disk({"serial": "S1"}, "container") == {"diskSelector": {"serial": "S1"}}


def test_control_plane_on_metal() -> None:
    main, hostname = documents()
    assert main["cluster"] == {
        "network": {"podSubnets": ["10.244.0.0/16"], "serviceSubnets": ["10.96.0.0/12"], "cni": {"name": "none"}},
        "allowSchedulingOnControlPlanes": True,
        "proxy": {"disabled": True},
    }
    assert main["machine"]["kubelet"] == {"extraArgs": {"rotate-server-certificates": "true"}}
    assert main["machine"]["features"] == {"kubePrism": {"enabled": True, "port": 7445}, "hostDNS": {"enabled": True, "forwardKubeDNSToHost": False}}
    assert main["machine"]["install"] == {"diskSelector": {"serial": "S1"}, "image": "installer:1"}
    assert hostname["hostname"] == "m1"


def test_worker_has_nothing_of_a_control_plane() -> None:
    main, hostname = documents(machine_role="worker", vip="192.0.2.10", vip_link="eth0", machine_cidrs=["192.0.2.0/24"])
    assert main["cluster"] == {"network": {"podSubnets": ["10.244.0.0/16"], "serviceSubnets": ["10.96.0.0/12"]}}
    assert main["machine"]["kubelet"]["nodeIP"] == {"validSubnets": ["192.0.2.0/24"]}
    assert "nodeLabels" not in main["machine"]
    assert hostname["kind"] == "HostnameConfig"


def test_container_forwards_dns() -> None:
    assert documents(talos_platform="container")[0]["machine"]["features"]["hostDNS"]["forwardKubeDNSToHost"] is True


def test_addresses_vip_and_mirrors() -> None:
    main, _hostname, vip, first, second = documents(
        machine_cidrs=["192.0.2.0/24"],
        vip="192.0.2.10",
        vip_link="eth0",
        registry_mirrors={"z.example.com": ["http://192.0.2.1"], "a.example.com": ["http://192.0.2.2"]},
    )
    assert main["cluster"]["etcd"] == {"advertisedSubnets": ["192.0.2.0/24"]}
    assert vip == {"apiVersion": "v1alpha1", "kind": "Layer2VIPConfig", "name": "192.0.2.10", "link": "eth0"}
    assert [first["name"], second["name"]] == ["a.example.com", "z.example.com"]
    assert second["endpoints"] == [{"url": "http://192.0.2.1"}]


def test_vip_without_link() -> None:
    with pytest.raises(InputError, match="vip_link: it is not known which link shall carry the virtual address"):
        documents(vip="192.0.2.10")


def test_mirrors_that_are_no_list() -> None:
    with pytest.raises(InputError, match="registry_mirrors: the mirrors of ghcr"):
        documents(registry_mirrors={"ghcr.io": "http://192.0.2.1"})


def test_user_patches_keep_their_order_and_text() -> None:
    text = "machine:\n  sysctls: {a: '1'}  # why\n---\napiVersion: v1alpha1\nkind: LinkConfig\nname: eth0\n"
    patches = user_patches([{"layer": "all", "documents": [{"machine": {"env": {"A": "off"}}}, text]}, {"layer": "host", "documents": ["# nothing yet\n"]}])
    assert [patch.where for patch in patches] == ["patch layer 'all', document 1", "patch layer 'all', document 2", "patch layer 'host', document 1"]
    assert patches[0].text == '{"machine": {"env": {"A": "off"}}}\n'
    assert patches[1].text == text


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ({"kind": "RegistryAuthConfig", "password": "hunter2"}, {"hunter2"}),
        ("kind: RegistryAuthConfig\npassword: hunter2\nname: r.example.com\n", {"hunter2"}),
        ("machine:\n  files:\n  - content: |\n      one\n      two\n", None),
        ("machine: [hunter2\n", None),
        ({"machine": {"type": "worker"}}, set()),
    ],
)
def test_secrets_of_patches(document: Any, found: set[str] | None) -> None:
    assert secrets_of([{"layer": "all", "documents": [document]}]) == ({document} if found is None else found)


def test_an_empty_text_is_no_patch() -> None:
    assert user_patches([{"layer": "all", "documents": ["", " \n"]}]) == []


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("machine: [\n", "patch layer 'host', document 1, line 2: not valid YAML"),
        ("- {op: add, path: /machine/env, value: {}}\n", "a JSON patch .* cannot be applied"),
        ("text", "a document of the patch is not a mapping"),
        (7, "a patch is a mapping or YAML text, not int"),
    ],
)
def test_user_patches_refused(document: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        user_patches([{"layer": "host", "documents": [document]}])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pod_cidrs": ["10.0.0.1/8"]}, "pod_cidrs: '10.0.0.1/8' is not a network: .*host bits"),
        ({"service_cidrs": ["x"]}, "service_cidrs: 'x' is not a network"),
        ({"vip": "192.0.2.300"}, "vip: '192.0.2.300' is not an address"),
    ],
)
def test_networks_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_networks(options(**changes))
