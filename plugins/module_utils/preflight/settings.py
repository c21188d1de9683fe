# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every setting a user can make: the one table that role defaults, argument specs, docs/settings.md and preflight agree on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ansible_collections.trinode.platform.plugins.module_utils.preflight import constraints
from ansible_collections.trinode.platform.plugins.module_utils.preflight.constraints import Constraint

Type = Literal["str", "int", "float", "bool", "list", "dict"]
Scope = Literal["cluster", "machine", "anywhere"]

PREFIXES = ("trinode_", "machine_", "component_")


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED = _Required()
"""Stands where a default would: the user must give a value."""


@dataclass(frozen=True)
class Setting:
    """One setting.

    ``scope``: a ``cluster`` setting has one value for the whole run, a ``machine`` setting one per machine, ``anywhere`` is free.
    ``default`` is a value or a template; ``constraint`` looks at a value of the right type that is not empty text, ``element_constraint`` at each
    element of a list.
    """

    name: str
    type: Type
    scope: Scope
    default: Any
    description: str
    elements: Literal["str", "dict", "raw"] | None = None
    choices: tuple[str, ...] = ()
    constraint: Constraint | None = None
    element_constraint: Constraint | None = None

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


def _cluster(name: str, type_: Type, default: Any, description: str, **more: Any) -> Setting:
    return Setting(f"trinode_{name}", type_, "cluster", default, description, **more)


def _machine(name: str, type_: Type, default: Any, description: str, **more: Any) -> Setting:
    return Setting(f"machine_{name}", type_, "machine", default, description, **more)


_TEXTS: dict[str, Any] = {"elements": "str"}
_PATCHES: dict[str, Any] = {"elements": "raw", "constraint": constraints.patches}
_NETWORKS: dict[str, Any] = {"elements": "str", "element_constraint": constraints.network}
_PATH: dict[str, Any] = {"constraint": constraints.not_empty}

_CLUSTER = (
    _cluster("cluster_name", "str", REQUIRED, "Name of the cluster, by RFC 1123. It cannot be changed later.", constraint=constraints.rfc1123_label),
    _cluster(
        "cluster_endpoint",
        "str",
        "https://{{ trinode_vip or (groups['machines'] | trinode.platform.machine_addresses(hostvars, role='controlplane') | first) }}:6443",
        "URL of the Kubernetes API as machines and users reach it. By default the virtual address, else the first control plane.",
        constraint=constraints.https_url,
    ),
    _cluster(
        "vip",
        "str",
        "",
        "Virtual address that the control planes share: a free one in the machines' own network. Empty means none.",
        constraint=constraints.ip_address,
    ),
    _cluster("vip_link", "str", "", "Link that carries the virtual address. Empty means the link that holds the machine's own address."),
    _cluster("talos_version", "str", "v1.13.8", "Version of Talos to install.", constraint=constraints.talos_version),
    _cluster(
        "talos_contract",
        "str",
        "v1.13",
        "Talos version that the cluster was made with. It decides how machine configs are generated and stays as it is when Talos is upgraded.",
        constraint=constraints.contract,
    ),
    _cluster("kubernetes_version", "str", "v1.36.3", "Version of Kubernetes that a new cluster starts with.", constraint=constraints.talos_version),
    _cluster("pod_cidrs", "list", ["10.244.0.0/16"], "Networks of the pods: one, or one of each address family.", **_NETWORKS),
    _cluster("service_cidrs", "list", ["10.96.0.0/12"], "Networks of the services: one, or one of each address family.", **_NETWORKS),
    _cluster(
        "machine_cidrs",
        "list",
        [],
        "Networks that the machines live in. Optional: where given, the kubelet and etcd use addresses of these networks only, and preflight "
        "checks every address against them.",
        **_NETWORKS,
    ),
    _cluster("talos_platform", "str", "metal", "What the machines are: bare metal (or virtual machines), or containers.", choices=("metal", "container")),
    _cluster("image_factory", "str", "factory.talos.dev", "Image factory that installer images come from.", constraint=constraints.registry_host),
    _cluster(
        "extensions", "list", [], "System extensions of all machines, such as siderolabs/iscsi-tools.", element_constraint=constraints.extension, **_TEXTS
    ),
    _cluster("kernel_arguments", "list", [], "Further kernel arguments of all machines.", element_constraint=constraints.kernel_argument, **_TEXTS),
    _cluster("secure_boot", "bool", False, "Whether the machines boot with UEFI Secure Boot (another installer image)."),
    _cluster(
        "boot_factory",
        "str",
        "https://{{ trinode_image_factory }}",
        "URL of the image factory that machines boot from, or of a server that has its files under the same paths.",
        constraint=constraints.any_url,
    ),
    _cluster("boot_image", "str", "", "URL of an ISO of your own that machines boot from. Empty takes the image factory's.", constraint=constraints.any_url),
    _cluster(
        "boot_network",
        "dict",
        {},
        "URLs of files of your own that machines boot over the network: kernel, initramfs and the text command_line, or uki. Empty takes the image factory's.",
        constraint=constraints.boot_network,
    ),
    _cluster(
        "boot_timeout",
        "int",
        1800,
        "Seconds that a machine may take from power-off to maintenance mode. Where you boot it by hand, that is your time.",
        constraint=constraints.positive,
    ),
    _cluster("registry_mirrors", "dict", {}, "Mirrors of image registries: a registry's name, and a list of URLs.", constraint=constraints.registry_mirrors),
    _cluster("patches", "list", [], "Machine config patches of all machines: dictionaries, or YAML text with one or more documents.", **_PATCHES),
    _cluster("control_plane_patches", "list", [], "Machine config patches of the control planes, after those of all machines.", **_PATCHES),
    _cluster("worker_patches", "list", [], "Machine config patches of the workers, after those of all machines.", **_PATCHES),
    _cluster(
        "directory",
        "str",
        "{{ hostvars[groups['machines'] | first].inventory_dir }}/cluster",
        "Directory of the cluster's secrets and credentials. By default beside the inventory.",
        **_PATH,
    ),
    _cluster("secrets_file", "str", "{{ trinode_directory }}/secrets.yaml", "The cluster's secrets bundle. Keep a copy; it cannot be made again.", **_PATH),
    _cluster("talosconfig", "str", "{{ trinode_directory }}/talosconfig", "Client configuration of talosctl.", **_PATH),
    _cluster("kubeconfig", "str", "{{ trinode_directory }}/kubeconfig", "Client configuration of kubectl.", **_PATH),
    _cluster("merge_kubeconfig", "str", "", "A kubeconfig, such as ~/.kube/config, that the cluster is merged into as well. Empty means none."),
    _cluster("talosctl", "str", "talosctl", "The program talosctl: a name in PATH or a path. Not older than Talos itself.", **_PATH),
    _cluster("helm", "str", "helm", "The program helm: a name in PATH or a path. 3.14 or later.", **_PATH),
    _cluster("chart_mirror", "str", "", "URL of a chart repository that all charts are taken from instead of their own. Empty means none."),
    _cluster("chart_cache", "str", "~/.cache/trinode/charts", "Directory where fetched charts are kept.", **_PATH),
    _cluster("charts", "dict", {}, "Changes to pinned charts by the pin's name: repository, digest, version.", constraint=constraints.charts),
    _cluster("tree", "str", "{{ trinode_directory }}/platform", "Directory of the rendered platform, one file an object.", **_PATH),
    _cluster(
        "git_url",
        "str",
        "",
        "Repository of yours that holds the platform: an https or SSH URL without credentials. Empty keeps a local repository only; then there is no GitOps.",
        constraint=constraints.git_url,
    ),
    _cluster("git_branch", "str", "main", "Branch that the platform is published to, and that Argo CD follows.", constraint=constraints.git_branch),
    _cluster(
        "git_path",
        "str",
        "",
        "Directory in the repository that is the platform's, as for one of several clusters. Empty is its root.",
        constraint=constraints.git_path,
    ),
    _cluster("git_username", "str", "git", "User name for https."),
    _cluster("git_token", "str", "", "Token or password for https, best encrypted with Ansible Vault. Argo CD gets it as a sealed Secret."),
    _cluster(
        "git_ssh_key", "str", "", "Private key for SSH (a deploy key that may write), best encrypted with Ansible Vault. Argo CD gets it as a sealed Secret."
    ),
    _cluster("git_known_hosts", "str", "", "Lines of known_hosts with the key of the SSH server. Needed for SSH."),
    _cluster("git_ca", "str", "", "Certificate authority of the https server in PEM, where it is not a public one."),
    _cluster(
        "git_overwrite",
        "bool",
        False,
        "Whether other people's edits inside the platform's own files are overwritten. Without it they refuse the run, which shows them.",
    ),
    _cluster("git_repository", "str", "{{ trinode_directory }}/platform.git", "Local bare repository: a copy of yours, or the only one.", **_PATH),
    _cluster(
        "sealing_keys",
        "str",
        "{{ trinode_directory }}/sealing-keys.yaml",
        "The key pairs that secrets are sealed with, encrypted with the vault password. Keep a copy; without it nothing sealed opens.",
        **_PATH,
    ),
    _cluster("user_repositories", "list", [], "Repositories that your own applications may come from, besides the platform's.", **_TEXTS),
    _cluster("user_cluster_kinds", "list", [], "Kinds (GROUP/KIND) without a namespace that your own applications may have, besides Namespace.", **_TEXTS),
    _cluster("domain", "str", "{{ trinode_cluster_name }}.internal", "Domain of the platform's user interfaces: grafana.<domain> and so on.", **_PATH),
    _cluster(
        "load_balancer_addresses",
        "list",
        [],
        "Free addresses in the machines' network for Services of type LoadBalancer: networks, or ranges such as 192.0.2.200-192.0.2.220.",
        element_constraint=constraints.addresses,
        **_TEXTS,
    ),
    _cluster("acme_email", "str", "", "Account of an ACME certificate authority. Empty means the cluster's own authority signs certificates."),
    _cluster(
        "acme_server",
        "str",
        "https://acme-v02.api.letsencrypt.org/directory",
        "Directory of the ACME certificate authority.",
        constraint=constraints.web_url,
    ),
    _cluster("machine_timeout", "int", 600, "Seconds that one machine may take for one step, such as installing and booting.", constraint=constraints.positive),
    _cluster("cluster_timeout", "int", 900, "Seconds that the cluster may take to become healthy.", constraint=constraints.positive),
    _cluster(
        "etcd_probe", "bool", True, "Whether the control planes' disks are measured before etcd is bootstrapped. It takes about 6 seconds of the first run."
    ),
    _cluster(
        "etcd_fsync_warn",
        "float",
        10.0,
        "Warn when a control plane's disk takes this many milliseconds or more for 99 of 100 of etcd's syncs. 0 never warns.",
        constraint=constraints.milliseconds,
    ),
    _cluster(
        "etcd_fsync_refuse",
        "float",
        100.0,
        "Refuse to bootstrap when a control plane's disk takes this many milliseconds or more for 99 of 100 of etcd's syncs. 0 never refuses.",
        constraint=constraints.milliseconds,
    ),
    _cluster(
        "etcd_backup_directory",
        "str",
        "{{ trinode_directory }}/etcd-backups",
        "Directory of etcd's backups. Where they go to a bucket, it is only worked in.",
        **_PATH,
    ),
    _cluster("etcd_backup_keep", "int", 14, "How many backups of etcd stay. 0 keeps all.", constraint=constraints.not_negative),
    _cluster(
        "etcd_backup_bucket",
        "str",
        "",
        "URL of a bucket of an S3 store outside the cluster, with a prefix if you like, that etcd's backups go to. Empty means the directory.",
        constraint=constraints.bucket_url,
    ),
    _cluster("etcd_backup_region", "str", "us-east-1", "Region of that bucket, as its store calls it.", **_PATH),
    _cluster("etcd_backup_access_key", "str", "", "Access key of that bucket's user."),
    _cluster("etcd_backup_secret_key", "str", "", "Secret key of that bucket's user, best encrypted with Ansible Vault."),
    _cluster("etcd_backup_ca", "str", "", "Certificate authority of that bucket's server in PEM, where it is not a public one."),
    _cluster("allow_reboot", "bool", False, "Whether a changed machine config may reboot machines, one at a time between two gates."),
    _cluster(
        "gate_checks",
        "list",
        list(constraints.GATE_CHECKS),
        "What has to be well before and after a machine is disrupted (docs/day-2.md). What is not installed has nothing wrong with it.",
        elements="str",
        element_constraint=constraints.gate_check,
    ),
    _cluster(
        "gate_allowed",
        "list",
        [],
        "Findings of the gate that are known and only warn, as patterns CHECK/WHERE: webhooks/my-policies*.",
        elements="str",
        element_constraint=constraints.gate_pattern,
    ),
    _cluster(
        "gate_commands",
        "list",
        [],
        "Checks of your own on this computer: name, argv, timeout (60 s). An exit code other than 0 closes the gate.",
        elements="dict",
        element_constraint=constraints.gate_command,
    ),
    _cluster(
        "gate_jobs",
        "list",
        [],
        "Checks of your own in the cluster: name, namespace, manifest (of a Job), timeout (120 s). A Job that fails closes the gate.",
        elements="dict",
        element_constraint=constraints.gate_job,
    ),
    _cluster("gate_certificate_warn", "float", 30.0, "The gate warns of certificates that expire within so many days."),
    _cluster("gate_certificate_refuse", "float", 7.0, "The gate stays closed when a certificate expires within so many days."),
    _cluster("gate_ceph_allowed", "list", [], "Names of Ceph's health checks that may warn all the same, such as MON_DISK_LOW.", elements="str"),
    _cluster("verify_drift", "bool", True, "Whether playbooks/verify.yml compares machines, cluster and Git with what they are to be."),
    _cluster("verify_strict", "bool", False, "Whether playbooks/verify.yml fails in the end when anything has drifted."),
    _cluster("renew_below", "float", 0.5, "Client certificates are renewed when less than this share of their life is left.", constraint=constraints.share),
    Setting(
        "trinode_in_process", "bool", "anywhere", True, "Whether this collection's modules run inside the Ansible worker (fast), or as ordinary modules do."
    ),
)

_MACHINE = (
    _machine(
        "address",
        "str",
        "{{ ansible_host | default(inventory_hostname, true) }}",
        "Address at which the machine is reached. By default ansible_host, else its name in the inventory.",
        constraint=constraints.address,
    ),
    _machine(
        "hostname",
        "str",
        "{{ inventory_hostname }}",
        "Host name and node name, by RFC 1123. By default its name in the inventory.",
        constraint=constraints.rfc1123_label,
    ),
    _machine("role", "str", "controlplane", "What the machine is in the cluster.", choices=("controlplane", "worker")),
    _machine(
        "install_disk",
        "dict",
        {},
        "Disk that Talos is installed on: exactly one of serial, wwid, by_id; or match, a JMESPath expression over the disk's facts that holds for one "
        "disk; or attributes (size, model, type, bus_path, modalias, uuid) that fit one disk only. Needed on metal.",
        constraint=constraints.install_disk,
    ),
    _machine(
        "osd_disks",
        "list",
        [],
        "Disks for storage, each by serial, wwid or by_id, or by match with count (how many disks it must hold for; 1). Optional keys: device_class, "
        "osds_per_device, metadata (the disk, chosen in the same way, that holds its metadata).",
        elements="dict",
        element_constraint=constraints.osd_disk,
    ),
    _machine(
        "wipe_disks",
        "list",
        [],
        "Serials of disks of this machine that may be wiped when they are not empty. Everything on them is lost.",
        element_constraint=constraints.disk_serial,
        **_TEXTS,
    ),
    _machine(
        "certificate_fingerprint",
        "str",
        "",
        "SHA-256 fingerprint of the machine's certificate in maintenance mode, from its console. Pins the first contact. Empty trusts what answers.",
        constraint=constraints.fingerprint,
    ),
    _machine("uuid", "str", "", "UUID of the machine (SMBIOS). Where given, a machine with another one is refused.", constraint=constraints.uuid),
    _machine("serial", "str", "", "Serial number of the machine (SMBIOS). Where given, a machine with another one is refused."),
    _machine(
        "macs",
        "list",
        [],
        "Hardware addresses of the machine's links. Where given, a machine in maintenance mode that lacks one of them is refused.",
        element_constraint=constraints.mac,
        **_TEXTS,
    ),
    _machine(
        "boot_way",
        "str",
        "manual",
        "How the machine comes into maintenance mode when it does not answer: by its BMC from a virtual CD (redfish), over the network (pxe, with a BMC by "
        "itself), or by you (manual).",
        choices=("redfish", "pxe", "manual"),
    ),
    _machine(
        "boot_confirm",
        "str",
        "",
        "Serial number of a machine that is to be booted anew over its BMC although it runs something, or may be installed. What it runs is lost; for one run.",
    ),
    _machine("bmc_address", "str", "", "Name, address or URL of the machine's BMC (Redfish). Without a scheme, https.", constraint=constraints.bmc_address),
    _machine("bmc_username", "str", "", "User of the BMC, who may operate power and virtual media."),
    _machine("bmc_password", "str", "", "Password of that user, encrypted with Ansible Vault."),
    _machine("bmc_ca_file", "str", "", "File with the authority of the BMC's certificate in PEM. Empty trusts public ones."),
    _machine(
        "bmc_certificate_fingerprint",
        "str",
        "",
        "SHA-256 fingerprint of the BMC's certificate, in hexadecimal, in place of an authority.",
        constraint=constraints.bmc_fingerprint,
    ),
    _machine("bmc_validate_certs", "bool", True, "Whether the BMC's certificate is verified. Without, anyone in between learns the password."),
    _machine("bmc_system", "str", "", "Path, id or UUID of the machine, where the BMC has several."),
    _machine("extensions", "list", [], "System extensions of this machine besides those of all.", element_constraint=constraints.extension, **_TEXTS),
    _machine(
        "kernel_arguments", "list", [], "Kernel arguments of this machine besides those of all.", element_constraint=constraints.kernel_argument, **_TEXTS
    ),
    _machine("patches", "list", [], "Machine config patches of this machine, after those of its role.", **_PATCHES),
)

SETTINGS: Mapping[str, Setting] = {setting.name: setting for setting in (*_CLUSTER, *_MACHINE)}
"""All settings by name, in the order of the documentation."""
