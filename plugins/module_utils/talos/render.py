# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machine configurations: Talos's own generator, our patch, the user's patches, validated. The same input gives the same bytes."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.trinode.platform.plugins.module_utils import command
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.talos import secrets
from ansible_collections.trinode.platform.plugins.module_utils.talos.client import ENVIRONMENT
from ansible_collections.trinode.platform.plugins.module_utils.talos.documents import Documents, split
from ansible_collections.trinode.platform.plugins.module_utils.talos.patches import Patch, base_patch, check_networks, user_patches
from ansible_collections.trinode.platform.plugins.module_utils.talos.render_errors import explain
from ansible_collections.trinode.platform.plugins.module_utils.talos.schematic import installer_image, make_schematic

CONTRACTS = ("v1.12", "v1.13")
"""Version contracts that are generated here. 1.11 and older lack the documents we write; 1.14 and newer have others (KubeletConfig, ...)."""

_SCHEMATIC = re.compile(r"installer(?:-secureboot)?/([0-9a-f]{64}):")


@dataclass(frozen=True)
class RenderedConfig:
    """A machine configuration: its text (holds secrets), its documents, the SHA-256 of the text, and what it installs.

    ``schematic_id`` is empty when an installer image was given that is not one of an image factory.
    """

    text: str
    documents: Documents
    sha256: str
    schematic_id: str
    installer_image: str


def render(options: Mapping[str, Any], *, talosctl: str, deadline: Deadline, throwaway_secrets: bool = False) -> RenderedConfig:
    """The configuration of one machine, from options as RENDER_OPTIONS describes them (defaults filled in).

    With ``throwaway_secrets`` (check mode on a cluster that does not exist yet) a missing secrets file is no error: secrets are made in memory.
    Raises InputError, which names host, patch layer and document, for whatever Talos would not accept.
    """
    try:
        return _render(options, talosctl, deadline, throwaway_secrets)
    except PlatformError as error:
        where = ", ".join(part for part in (str(options["hostname"]), error.where) if part)
        raise type(error)(error.what, where=where, hint=error.hint, details=error.details) from error


def check_contract(contract: str, talos_version: str = "") -> None:
    """Raise InputError for a version contract that we do not generate, or that is newer than the Talos it is meant for."""
    short = ".".join(contract.split(".")[:2])
    if short not in CONTRACTS or not re.fullmatch(r"v\d+\.\d+(\.\d+)?", contract):
        raise InputError(f"the version contract {contract!r} is not supported", where="contract", hint=f"Supported are {' and '.join(CONTRACTS)}.")
    if talos_version:
        match = re.match(r"v(\d+)\.(\d+)\.\d+", talos_version)
        if match is None:
            raise InputError(f"{talos_version!r} is not a version of Talos", where="talos_version", hint="Write it like v1.13.8.")
        if (int(match[1]), int(match[2])) < tuple(int(part) for part in short[1:].split(".")):
            raise InputError(
                f"the version contract {contract} is newer than Talos {talos_version}, which would reject it",
                where="contract",
                hint="The contract is the version the cluster was made with; it stays when Talos is upgraded.",
            )


def _render(options: Mapping[str, Any], talosctl: str, deadline: Deadline, throwaway_secrets: bool) -> RenderedConfig:
    check_contract(options["contract"], options["talos_version"])
    _check_names(options)
    _check_endpoint(options["cluster_endpoint"])
    check_networks(options)
    image, schematic_id = installer(options)
    patches = [base_patch(options, image), *user_patches(options["patches"])]
    bundle = _bundle(options, talosctl, deadline, throwaway_secrets)
    with tempfile.TemporaryDirectory(prefix="trinode-") as directory:  # mode 0700
        generator = _Generator(options, talosctl=talosctl, deadline=deadline, bundle=bundle, directory=directory, image=image)
        text = generator.run(patches)
    documents = split(text)
    return RenderedConfig(text, documents, hashlib.sha256(text.encode()).hexdigest(), schematic_id, image)


def _bundle(options: Mapping[str, Any], talosctl: str, deadline: Deadline, throwaway_secrets: bool) -> str:
    if throwaway_secrets and not os.path.lexists(options["secrets_file"]):
        return secrets.generate(talosctl=talosctl, contract=options["contract"], deadline=deadline)
    return secrets.read(options["secrets_file"], options["vault_password"]).text


def installer(options: Mapping[str, Any]) -> tuple[str, str]:
    """Reference and schematic of the installer image that the configuration names. The schematic is empty for an image of one's own without any."""
    given = options["installer_image"]
    if given:
        if options["extensions"] or options["kernel_arguments"]:
            raise InputError(
                "extensions and kernel arguments have no effect beside an installer image of one's own",
                where="installer_image",
                hint="Build them into that image, or leave installer_image empty.",
            )
        match = _SCHEMATIC.search(given)
        return given, match[1] if match else ""
    schematic = make_schematic(options["extensions"], options["kernel_arguments"])
    image = installer_image(schematic, talos_version=options["talos_version"], image_factory=options["image_factory"], secure_boot=options["secure_boot"])
    return image, schematic.id


def _check_names(options: Mapping[str, Any]) -> None:
    """What talosctl would take unseen and a machine would stumble over."""
    for option, label in (("cluster_name", options["cluster_name"]), ("hostname", options["hostname"].partition(".")[0])):
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", label):
            raise InputError(f"{options[option]!r} is not a name of RFC 1123", where=option, hint="Use lower-case letters, digits and hyphens.")
    if not re.fullmatch(r"v?1\.\d+\.\d+(-[a-z0-9.]+)?", options["kubernetes_version"]):
        raise InputError(f"{options['kubernetes_version']!r} is not a version of Kubernetes", where="kubernetes_version", hint="Write it like v1.36.3.")


def _check_endpoint(endpoint: str) -> None:
    try:
        parts = urlsplit(endpoint)
        valid = parts.scheme == "https" and bool(parts.hostname) and parts.port is not None
    except ValueError:
        valid = False
    if not valid:
        raise InputError(f"{endpoint!r} is not the URL of a Kubernetes API", where="cluster_endpoint", hint="Write it like https://192.0.2.10:6443.")


class _Generator:
    """talosctl with the options of one machine. Secrets go in by a pipe, patches by files in a private directory; nothing of them is in an argv."""

    def __init__(self, options: Mapping[str, Any], *, talosctl: str, deadline: Deadline, bundle: str, directory: str, image: str) -> None:
        self._talosctl, self._deadline, self._bundle, self._directory = talosctl, deadline, bundle, directory
        # A container is checked as metal as well: what the lab accepts must be right for real machines.
        self._modes = ("metal", "container") if options["talos_platform"] == "container" else ("metal",)
        role = options["machine_role"]
        # Not --config-patch: that applies to the other role's configuration too, where a patch may not fit.
        self._patch_flag = "--config-patch-control-plane" if role == "controlplane" else "--config-patch-worker"
        sans = dict.fromkeys([*options["additional_sans"], *([options["vip"]] if options["vip"] else [])])
        self._argv = [
            *(talosctl, "gen", "config", options["cluster_name"], options["cluster_endpoint"]),
            *("--with-secrets", "/dev/stdin", "--output", "-", "--output-types", role),
            *("--talos-version", options["contract"], "--kubernetes-version", options["kubernetes_version"]),
            *("--with-docs=false", "--with-examples=false", "--install-disk=", f"--install-image={image}"),
            *(f"--additional-sans={san}" for san in sans),
        ]

    def run(self, patches: Sequence[Patch]) -> str:
        """The validated configuration with all patches. Raises InputError that names the first patch which Talos does not take."""
        files = [self._write(number, patch) for number, patch in enumerate(patches)]
        text, problem = self._attempt(files)
        if not problem:
            return text
        for count, patch in enumerate(patches, 1):
            _text, first_problem = self._attempt(files[:count])
            if first_problem:
                raise explain(first_problem, where=patch.where)
        raise explain(problem, where="")

    def _attempt(self, files: Sequence[str]) -> tuple[str, str]:
        """The configuration with these patches, and what talosctl says against it (empty: nothing)."""
        generated = command.run(
            [*self._argv, *(f"{self._patch_flag}=@{file}" for file in files)], deadline=self._deadline, stdin=self._bundle, environment=ENVIRONMENT
        )
        if generated.returncode != 0:
            return "", generated.stderr or f"talosctl ended with exit code {generated.returncode}"
        for mode in self._modes:
            argv = [self._talosctl, "validate", "--strict", "--mode", mode, "--config", "/dev/stdin"]
            validated = command.run(argv, deadline=self._deadline, stdin=generated.stdout, environment=ENVIRONMENT)
            if validated.returncode != 0:
                return "", validated.stderr or f"talosctl ended with exit code {validated.returncode}"
        return generated.stdout, ""

    def _write(self, number: int, patch: Patch) -> str:
        path = os.path.join(self._directory, f"{number:03}.yaml")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(patch.text)
        return path
