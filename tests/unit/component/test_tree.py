# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.component import contents, tree
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Object

PASSWORD = "hunter2hunter2"


def item(kind: str, name: str, namespace: str = "", api_version: str = "v1", **content: Any) -> Object:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, **({"namespace": namespace} if namespace else {})}, **content}


def names(*objects: Object) -> list[str]:
    return [file.name for file in tree.files(objects)]


def test_names() -> None:
    assert names(item("ClusterRole", "kyverno:migrate/Resources"), item("ConfigMap", "a.b", "n")) == [
        "clusterrole-kyverno_migrate_resources.yaml",
        "configmap-n-a.b.yaml",
    ]
    [long] = names(item("ConfigMap", "x" * 253, "n"))
    assert len(long) < 255


def test_names_that_would_be_the_same_differ_and_stay() -> None:
    objects = [
        item("PolicyException", "a", "n", "kyverno.io/v2"),
        item("PolicyException", "a", "n", "policies.kyverno.io/v1"),
        item("ConfigMap", "b-c", "a"),
        item("ConfigMap", "c", "a-b"),
        item("ClusterRole", "x:y"),
        item("ClusterRole", "x_y"),
    ]
    found = names(*objects)
    assert len(set(found)) == 6
    assert found == names(*reversed(objects))


def test_without_a_password_nothing_is_written(tmp_path: Path) -> None:
    files = tree.files([item("ConfigMap", "a"), item("Secret", "s", data={"x": "eA=="})])
    with pytest.raises(RefusedError, match="Secret s would be written in clear"):
        tree.write(str(tmp_path), files, base=str(tmp_path), password="")
    assert list(tmp_path.iterdir()) == []
    # An empty one holds no secret: controllers fill it.
    assert tree.write(str(tmp_path), tree.files([item("Secret", "s", data={})]), base=str(tmp_path), password="")


def test_written_and_read_back(tmp_path: Path) -> None:
    objects = [
        item("ConfigMap", "a", "n"),
        item("Secret", "s", "n", stringData={"x": "correct horse"}),
        item("Job", "j", "n", "batch/v1", spec={}),
        {**item("Job", "h", "n", "batch/v1"), "metadata": {"name": "h", "namespace": "n", "annotations": {"helm.sh/hook": "pre-install"}}},
    ]
    files = tree.files(objects)
    tree.write(str(tmp_path), files, base=str(tmp_path), password=PASSWORD)
    found = contents.read(str(tmp_path), password=PASSWORD)
    assert [read for manifest in found.applied for read in manifest.objects] == [objects[0], objects[2], objects[1]]
    assert found.hooks == [objects[3]]
    assert found.revision == tree.revision(files)
    assert found.of_kind("Job") == [objects[2]]
    with pytest.raises(InputError, match="the vault password does not open this file"):
        contents.read(str(tmp_path), password="another")


def test_a_secret_that_the_password_does_not_open_is_written_anew(tmp_path: Path) -> None:
    files = tree.files([item("Secret", "s", stringData={"x": "correct horse"})])
    tree.write(str(tmp_path), files, base=str(tmp_path), password="old password")
    assert tree.write(str(tmp_path), files, base=str(tmp_path), password=PASSWORD)
    assert contents.read(str(tmp_path), password=PASSWORD).revision == tree.revision(files)
    assert not tree.write(str(tmp_path), files, base=str(tmp_path), password=PASSWORD)


def test_an_empty_directory_is_not_a_component(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are no rendered files"):
        contents.read(str(tmp_path / "none"), password="")
