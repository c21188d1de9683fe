"""Schematics against identifiers that the image factory itself gives (its own tests, and factory.talos.dev's documentation)."""

from __future__ import annotations

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.talos.schematic import EMPTY_SCHEMATIC, installer_image, make_schematic


@pytest.mark.parametrize(
    ("extensions", "kernel_arguments", "expected"),
    [
        ([], [], "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba"),
        ([], ["noapic", "nolapic"], "9cba8e32753f91a16c1837ab8abf356af021706ef284aef07380780177d9a06c"),
        (["siderolabs/iscsi-tools"], [], "c9078f9419961640c712a8bf2bb9174933dfcf1da383fd8ea2b7dc21493f8bac"),
    ],
)
def test_identifiers_of_the_factory(extensions: list[str], kernel_arguments: list[str], expected: str) -> None:
    assert make_schematic(extensions, kernel_arguments).id == expected


def test_order_counts_for_arguments_only() -> None:
    one = make_schematic(["siderolabs/b", "siderolabs/a"], ["x=1", "y=2"])
    assert one.id == make_schematic(["siderolabs/a", "siderolabs/b", "siderolabs/a"], ["x=1", "y=2"]).id
    assert one.id != make_schematic(["siderolabs/a", "siderolabs/b"], ["y=2", "x=1"]).id


def test_canonical_text() -> None:
    text = make_schematic(["siderolabs/b", "siderolabs/a"], ["console=ttyS0,115200"]).text
    assert text == (
        "customization:\n    extraKernelArgs:\n        - console=ttyS0,115200\n"
        "    systemExtensions:\n        officialExtensions:\n            - siderolabs/a\n            - siderolabs/b\n"
    )


# Right-hand sides: go.yaml.in/yaml/v4 4.0.0-rc.4, the factory's encoder, asked for each.
@pytest.mark.parametrize(
    ("argument", "written"),
    [
        ("net.ifnames=0", "net.ifnames=0"),
        ("quiet", "quiet"),
        ("true", '"true"'),
        ("y", '"y"'),
        ("0x1f", '"0x1f"'),
        ("1e3", '"1e3"'),
        ("12:30:45", '"12:30:45"'),
        ("-foo", "-foo"),
        ("- foo", "'- foo'"),
        ("a: b", "'a: b'"),
        ("a #b", "'a #b'"),
        ("%x", "'%x'"),
        ('foo="a b"', 'foo="a b"'),
        ('dyndbg="file a.c +p ; file b.c +p"', 'dyndbg="file a.c +p ; file b.c +p"'),
        ("a'b", "a'b"),
        ("foo,", "foo,"),
    ],
)
def test_scalars_as_go_writes_them(argument: str, written: str) -> None:
    assert make_schematic([], [argument]).text.splitlines()[2] == f"        - {written}"


def test_installer_image() -> None:
    schematic = make_schematic()
    assert installer_image(schematic, talos_version="v1.13.8") == f"factory.talos.dev/metal-installer/{EMPTY_SCHEMATIC}:v1.13.8"
    assert installer_image(schematic) == f"factory.talos.dev/metal-installer/{EMPTY_SCHEMATIC}"
    secure = installer_image(schematic, talos_version="v1.13.8", image_factory="192.0.2.1:5000/factory", secure_boot=True)
    assert secure == f"192.0.2.1:5000/factory/metal-installer-secureboot/{EMPTY_SCHEMATIC}:v1.13.8"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make_schematic(["iscsi-tools"]), "'iscsi-tools' is not the name of a system extension"),
        (lambda: make_schematic([], ["a\nb"]), "is not a kernel argument"),
        (lambda: make_schematic([], [""]), "is not a kernel argument"),
        (lambda: installer_image(make_schematic(), talos_version="1.13"), "'1.13' is not a version of Talos"),
        (lambda: installer_image(make_schematic(), talos_version="v1.13.8", image_factory="https://factory.talos.dev"), "is not the name of a registry"),
    ],
)
def test_refusals(call: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()  # type: ignore[operator]
