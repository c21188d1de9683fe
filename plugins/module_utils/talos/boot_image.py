# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine boots to come up in maintenance mode: the image factory's files of a schematic, or the user's own."""

from __future__ import annotations

import json
import urllib.error
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible.module_utils.urls import open_url

from ansible_collections.trinode.platform.plugins.module_utils.compatibility.version import Version
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import ConnectionFailed, InputError
from ansible_collections.trinode.platform.plugins.module_utils.talos.schematic import Schematic

ANSWER_SECONDS = 30.0
_CONSOLES = {"amd64": ("console=tty0",), "arm64": ("console=ttyAMA0", "console=tty0")}
# github.com/siderolabs/talos, pkg/machinery/kernel/kernel.go and pkg/imager/imager.go, of 1.12 on.
_DEFAULTS = (
    "init_on_alloc=1",
    "slab_nomerge=",
    "pti=on",
    "consoleblank=0",
    "nvme_core.io_timeout=4294967295",
    "printk.devkmsg=on",
    "selinux=1",
    "module.sig_enforce=1",
)


@dataclass(frozen=True)
class BootImage:
    """``iso`` is for virtual media and sticks. ``kernel`` to ``uki`` are for the network: either the first three, or, with Secure Boot, the last."""

    iso: str
    kernel: str = ""
    initramfs: str = ""
    command_line: str = ""
    uki: str = ""

    @property
    def ipxe(self) -> str:
        """A script for iPXE; empty when there is nothing for the network."""
        if self.uki:
            return f"#!ipxe\nimgfree\nkernel {self.uki}\nboot\n"
        if not self.kernel:
            return ""
        return f"#!ipxe\nimgfree\nkernel {self.kernel} {self.command_line}\ninitrd {self.initramfs}\nboot\n"


def factory_image(schematic: Schematic, *, factory: str, talos_version: str, architecture: str = "amd64", secure_boot: bool = False) -> BootImage:
    """The factory's files. ``factory``: URL of the factory, or of what mirrors its paths below /image."""
    version = Version.parse(talos_version)
    if version is None:
        raise InputError(f"{talos_version!r} is not a version of Talos", where="talos_version", hint="Write it like v1.13.8.")
    base = f"{factory.rstrip('/')}/image/{schematic.id}/{talos_version}"
    if secure_boot:
        return BootImage(f"{base}/metal-{architecture}-secureboot.iso", uki=f"{base}/metal-{architecture}-secureboot-uki.efi")
    return BootImage(
        iso=f"{base}/metal-{architecture}.iso",
        kernel=f"{base}/kernel-{architecture}",
        initramfs=f"{base}/initramfs-{architecture}.xz",
        command_line=command_line(version, schematic.kernel_arguments, architecture),
    )


def command_line(version: Version, extra: Sequence[str], architecture: str = "amd64") -> str:
    """The kernel's command line, as Talos's imager writes it for metal: consoles of one's own replace its, and ``-name`` takes a default away."""
    arguments = ["talos.platform=metal", *_CONSOLES[architecture], *_DEFAULTS]
    if version.release >= (1, 13):
        arguments.append("proc_mem.force_override=never")
    for name in ("console", "talos.platform"):
        if any(_name(argument) == name for argument in extra):
            arguments = [argument for argument in arguments if _name(argument) != name]
    for argument in extra:
        if argument.startswith("-"):
            gone = argument[1:]
            arguments = [there for there in arguments if (there if "=" in gone else _name(there)) != gone]
        else:
            arguments.append(argument)
    return " ".join(argument.removesuffix("=") for argument in arguments)


def own_image(iso: str, network: Mapping[str, str]) -> BootImage:
    """The user's files. Raises InputError for a mixture that boots nothing."""
    if network and not (network.get("kernel") and network.get("initramfs")) and not network.get("uki"):
        raise InputError("there is no kernel and initramfs", where="network", hint="Give kernel, initramfs and command_line, or uki.")
    return BootImage(iso, network.get("kernel", ""), network.get("initramfs", ""), network.get("command_line", ""), network.get("uki", ""))


def register(schematic: Schematic, factory: str, deadline: Deadline) -> bool:
    """Make the schematic known to the factory, which else does not serve it. False when this is a mirror of files only, which takes none.

    Raises ConnectionFailed when it answers with another id than ours: then it would serve another image.
    """
    url = f"{factory.rstrip('/')}/schematics"
    try:
        with open_url(url, method="POST", data=schematic.text, timeout=min(ANSWER_SECONDS, max(1.0, deadline.remaining))) as answer:
            told = json.loads(answer.read()).get("id")
    except urllib.error.HTTPError as error:
        if error.code in (404, 405, 501):
            return False
        raise ConnectionFailed(f"the image factory answered {error.code} {error.reason} to the schematic", where=url, hint=_HINT) from error
    except (OSError, ValueError, AttributeError) as error:
        raise ConnectionFailed(f"the image factory does not answer: {getattr(error, 'reason', error)}", where=url, hint=_HINT) from error
    if told != schematic.id:
        raise ConnectionFailed(
            f"the image factory calls the schematic {told}, and it is {schematic.id}",
            where=url,
            hint="It would serve another image than the one that was asked for. Tell the maintainers of trinode.platform if this is factory.talos.dev.",
        )
    return True


_HINT = "Check trinode_boot_factory and the network. Without a factory, name an image of your own in trinode_boot_image."


def _name(argument: str) -> str:
    return argument.partition("=")[0]
