# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a machine does not get on: services that do not start, images that cannot be pulled. Reads the machine, only when something is late."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.talos import client_output
from ansible_collections.trinode.platform.plugins.module_utils.talos.client import Talosctl
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import ServiceState

# Talos's own services that run from an image, and the resource that names the image.
_IMAGE_KINDS = {"etcd": "etcdspec", "kubelet": "kubeletspec"}
_REGISTRY_HINT = "Check that the registry or its mirror (trinode_registry_mirrors) serves this image and that the machine reaches it."


@dataclass(frozen=True)
class PullFailure:
    """An image that a service of Talos waits for. ``final``: the registry answered that it has no such image, or refuses it."""

    service: str
    image: str
    reason: str
    final: bool

    @property
    def text(self) -> str:
        return f"{self.service} waits for the image {self.image}, which cannot be pulled: {self.reason}"

    @property
    def hint(self) -> str:
        return _REGISTRY_HINT


def describe_services(services: Sequence[ServiceState]) -> str:
    """The services that do not run or are not healthy, with their last event; empty when all is well."""
    late = [service for service in services if service.state not in ("Running", "Finished", "Skipped") or service.health not in ("OK", "?")]
    return "; ".join(f"{service.id} is {service.state} ({service.last_event.rstrip('.')})" for service in late)


def explain_pull(message: str) -> tuple[str, bool]:
    """A pull's error in one short clause, and whether it is the registry's answer rather than the network's. From containerd's nested messages."""
    text = " ".join(message.split())
    if re.search(r"not found\b", text):
        return "the registry does not have it", True
    if re.search(r"\b(401|403)\b|unauthorized|denied", text, re.IGNORECASE):
        return "the registry refuses it (not authorized)", True
    for sign, reason in (
        ("no such host", "the registry's name does not resolve"),
        ("lookup ", "the registry's name does not resolve"),
        ("connection refused", "the registry refuses the connection"),
        ("no route to host", "there is no route to the registry"),
        ("x509:", "the registry's certificate is not trusted"),
        ("server gave HTTP response to HTTPS client", "the registry speaks plain HTTP, and HTTPS was asked for"),
        ("timeout", "the registry does not answer"),
        ("deadline exceeded", "the registry does not answer"),
    ):
        if sign in text:
            return reason, False
    return text.rsplit(": ", 1)[-1][:200], False


def find_pull_failure(client: Talosctl, *, deadline: Deadline) -> PullFailure | None:
    """The first image that etcd or the kubelet waits for and that the machine cannot pull.

    Asks the machine to pull it, which is what it tries itself at this moment, because only that tells the reason.
    """
    services = {service.id: service for service in client.services(deadline=deadline)}
    waiting = [name for name in _IMAGE_KINDS if name in services and services[name].state in ("Preparing", "Failed", "Pre", "Waiting")]
    if not waiting:
        return None
    listed = client.run("image", "list", "--namespace", "system", action="list its images", deadline=deadline)
    present = client_output.parse_images(listed.stdout)
    for name in waiting:
        image = next((str(item.spec.get("image", "")) for item in client.get(_IMAGE_KINDS[name], deadline=deadline)), "")
        if not image or image in present:
            continue
        try:
            client.run("image", "pull", image, "--namespace", "system", action=f"pull {image}", deadline=deadline, seconds=30)
        except PlatformError as error:
            reason, final = explain_pull(error.what)
            return PullFailure(name, image, reason, final)
    return None


def diagnose(client: Talosctl, *, deadline: Deadline) -> tuple[str, str]:
    """What is wrong and what to do, as far as the machine tells within a few seconds; empty texts when it tells nothing."""
    # The wait's own deadline has passed; a message worth reading is worth these seconds.
    limit = Deadline(15) if deadline.expired else deadline.at_most(15)
    try:
        failure = find_pull_failure(client, deadline=limit)
        if failure is not None:
            return failure.text, failure.hint
        return describe_services(client.services(deadline=limit)), "See talosctl dmesg and talosctl logs of that service."
    except PlatformError:
        return "", ""
