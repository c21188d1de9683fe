# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Image factory schematics: which extensions and kernel arguments an image of Talos holds, and the identifier that the factory gives them.

The identifier is the SHA-256 of the schematic's canonical YAML (siderolabs/image-factory, pkg/schematic/schematic.go), so it is known without asking.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError

EMPTY_SCHEMATIC = "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba"

_EXTENSION = re.compile(r"[a-z0-9][a-z0-9._-]*/[a-z0-9][a-z0-9._-]*")
_FACTORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?(/[a-z0-9][a-z0-9._/-]*)?")
# Plain scalars that YAML 1.1 or 1.2 reads as a boolean, null, number, date or merge key (Go's encoder minds both).
_NOT_A_STRING = re.compile(
    r"(?i:true|false|yes|no|on|off|y|n|null|~|<<|[-+]?\.(inf|nan))"
    r"|[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?|\.[0-9][0-9_]*([eE][-+]?[0-9]+)?|[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?)"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?"
)
_VERSION = re.compile(r"v[0-9]+\.[0-9]+\.[0-9]+(-[a-z0-9.]+)?")


@dataclass(frozen=True)
class Schematic:
    """What goes into an image. The order of kernel arguments counts; that of extensions does not, so they are kept sorted."""

    extensions: tuple[str, ...] = ()
    kernel_arguments: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The canonical YAML, as the factory writes it: its own field order, four spaces, empty fields left out."""
        customization: list[str] = []
        if self.kernel_arguments:
            customization += ["    extraKernelArgs:", *(f"        - {_scalar(argument)}" for argument in self.kernel_arguments)]
        if self.extensions:
            customization += [
                "    systemExtensions:",
                "        officialExtensions:",
                *(f"            - {extension}" for extension in self.extensions),
            ]
        if not customization:
            return "customization: {}\n"
        return "\n".join(["customization:", *customization, ""])

    @property
    def id(self) -> str:
        """64 hexadecimal digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def make_schematic(extensions: Sequence[str] = (), kernel_arguments: Sequence[str] = ()) -> Schematic:
    """The schematic of these official extensions (``siderolabs/NAME``) and kernel arguments. Raises InputError for a malformed one."""
    for extension in extensions:
        if not _EXTENSION.fullmatch(extension):
            raise InputError(f"{extension!r} is not the name of a system extension", where="extensions", hint="Name it like siderolabs/iscsi-tools.")
    for argument in kernel_arguments:
        if not argument or not argument.isascii() or not argument.isprintable() or argument != argument.strip():
            raise InputError(f"{argument!r} is not a kernel argument", where="kernel_arguments", hint="Give one argument an entry, like console=ttyS0.")
    return Schematic(tuple(sorted(set(extensions))), tuple(kernel_arguments))


def installer_image(schematic: Schematic, *, talos_version: str = "", image_factory: str = "factory.talos.dev", secure_boot: bool = False) -> str:
    """The reference of the installer for bare metal: FACTORY/metal-installer[-secureboot]/SCHEMATIC[:VERSION]."""
    if talos_version and not _VERSION.fullmatch(talos_version):
        raise InputError(f"{talos_version!r} is not a version of Talos", where="talos_version", hint="Write it like v1.13.8.")
    if not _FACTORY.fullmatch(image_factory):
        raise InputError(
            f"{image_factory!r} is not the name of a registry",
            where="image_factory",
            hint="Give host, port and path only, like factory.talos.dev (no https://).",
        )
    name = "metal-installer-secureboot" if secure_boot else "metal-installer"
    return f"{image_factory}/{name}/{schematic.id}{f':{talos_version}' if talos_version else ''}"


def _scalar(text: str) -> str:
    """One string as the factory's YAML encoder writes it: double quotes where it would read back as another type, single ones where else it needs some."""
    if _NOT_A_STRING.fullmatch(text):
        return f'"{text}"'
    return yaml.dump(text, width=1 << 30).removesuffix("\n...\n").rstrip("\n")
