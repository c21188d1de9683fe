# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealing, opening, and which keys and values stay as they are."""

from __future__ import annotations

import base64
import datetime as dt
import stat
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.sealing import box, keys, keys_plan, sealed_secret
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task
from ansible_collections.trinode.platform.plugins.modules import sealed_secret as sealed_secret_module
from ansible_collections.trinode.platform.plugins.modules import sealing_keys as sealing_keys_module

NOW = dt.datetime(2026, 1, 10, tzinfo=dt.UTC)
WANTED = sealed_secret.Wanted("database", "shop", {"password": b"correct horse", "user": b"shop"})


@pytest.fixture(scope="module")
def pairs() -> list[keys.KeyPair]:
    """Two pairs, the newest first."""
    return [keys.generate(NOW), keys.generate(NOW - dt.timedelta(days=400))]


@pytest.mark.parametrize("scope", box.SCOPES)
def test_what_is_sealed_opens_where_it_may(pairs: list[keys.KeyPair], scope: str) -> None:
    text = box.seal(b"\x00 value", pairs[0].public, box.label(scope, "shop", "database"))
    privates = [pair.private for pair in pairs]
    there = {
        "here": box.open_sealed(text, privates, box.label(scope, "shop", "database")),
        "other name": box.open_sealed(text, privates, box.label(scope, "shop", "other")),
        "other namespace": box.open_sealed(text, privates, box.label(scope, "other", "database")),
    }
    allowed = {"strict": ["here"], "namespace-wide": ["here", "other name"], "cluster-wide": list(there)}[scope]
    assert there == {place: (b"\x00 value", 0) if place in allowed else None for place in there}


@pytest.mark.parametrize("damage", [lambda text: text[:-8] + "AAAAAAA=", lambda text: "no base64!", lambda text: "AA==", lambda text: ""])
def test_what_is_damaged_does_not_open(pairs: list[keys.KeyPair], damage: object) -> None:
    text = box.seal(b"value", pairs[0].public, b"")
    assert callable(damage)
    assert box.open_sealed(damage(text), [pairs[0].private], b"") is None


def test_unchanged_values_stay_sealed_as_they_are(pairs: list[keys.KeyPair]) -> None:
    first = sealed_secret.seal(WANTED, None, pairs)
    assert first.resealed == {"password": "new", "user": "new"}
    assert "correct horse" not in str(first.item)
    assert base64.b64encode(b"correct horse").decode() not in str(first.item)
    again = sealed_secret.seal(WANTED, first.item, pairs)
    assert (again.item, again.resealed) == (first.item, {})

    changed = sealed_secret.seal(replace(WANTED, values={"password": b"another", "user": b"shop"}), first.item, pairs)
    assert changed.resealed == {"password": "changed"}
    assert changed.item["spec"]["encryptedData"]["user"] == first.item["spec"]["encryptedData"]["user"]

    moved = sealed_secret.seal(replace(WANTED, name="other"), first.item, pairs)
    assert set(moved.resealed.values()) == {"not sealed with a key of ours for this Secret"}


def test_an_old_key_opens_and_the_new_one_seals(pairs: list[keys.KeyPair]) -> None:
    old = sealed_secret.seal(WANTED, None, pairs[1:])
    renewed = sealed_secret.seal(WANTED, old.item, pairs)
    assert set(renewed.resealed.values()) == {"sealed with an old key"}
    assert sealed_secret.seal(WANTED, renewed.item, pairs[:1]).resealed == {}


def test_scope_and_metadata_reach_the_secret(pairs: list[keys.KeyPair]) -> None:
    wanted = replace(WANTED, scope="namespace-wide", type="kubernetes.io/basic-auth", labels={"app": "shop"})
    item = sealed_secret.seal(wanted, None, pairs).item
    note = {"sealedsecrets.bitnami.com/namespace-wide": "true"}
    assert item["metadata"] == {"name": "database", "namespace": "shop", "annotations": note}
    metadata = {"name": "database", "namespace": "shop", "labels": {"app": "shop"}, "annotations": note}
    assert item["spec"]["template"] == {"type": "kubernetes.io/basic-auth", "metadata": metadata}


@pytest.mark.parametrize(
    ("file", "cluster", "renew_days", "expected"),
    [
        ("", "", 0, ("there is none", "", "", "")),
        ("n", "n", 0, ("", "n", "", "")),
        ("n", "", 0, ("", "n", "", "n")),
        ("", "o", 0, ("", "o", "o", "")),
        ("", "o", 365, ("the newest is 400 days old", "o", "o", "")),
        ("no", "n", 365, ("", "no", "", "o")),
        ("n", "o", 365, ("", "no", "o", "n")),
        ("o", "o", 0, ("", "o", "", "")),
        ("o", "o", 400, ("the newest is 400 days old", "o", "", "")),
        ("o", "o", 401, ("", "o", "", "")),
    ],
)
def test_plan_of_keys(pairs: list[keys.KeyPair], file: str, cluster: str, renew_days: int, expected: tuple[str, str, str, str]) -> None:
    named = {"n": pairs[0], "o": pairs[1]}
    letters = {pair.fingerprint: letter for letter, pair in named.items()}
    found = keys_plan.plan([named[letter] for letter in file], [named[letter] for letter in cluster], NOW, renew_days)
    listed = ["".join(letters[pair.fingerprint] for pair in part) for part in (found.kept, found.backed_up, found.installed)]
    assert (found.make, *listed) == expected


def test_the_controllers_secrets_are_read_back(pairs: list[keys.KeyPair]) -> None:
    secrets = [keys.as_secret(pair, "kube-system") for pair in reversed(pairs)]
    assert secrets[0]["metadata"]["labels"] == {keys.ACTIVE_LABEL: "active"}
    assert keys.from_secrets(secrets, where="here") == pairs


def test_files_that_hold_no_pairs(pairs: list[keys.KeyPair], tmp_path: Path) -> None:
    crossed = keys.dump([keys.KeyPair(pairs[0].certificate, pairs[1].key)])
    for text in ("", "[]", "sealing_keys: []", "sealing_keys: [{certificate: x, key: y}]", crossed, "a: ["):
        (tmp_path / "keys").write_text(text)
        with pytest.raises(InputError, match="it does not hold whole key pairs of Sealed Secrets"):
            keys.read(str(tmp_path / "keys"), "")


def run(module: ModuleType, arguments: dict[str, Any], *, check: bool = False) -> Outcome:
    defaults = {name: option.get("default") for name, option in module.ARGUMENT_SPEC.items()}
    outcome: Outcome = module.run(Task({**defaults, **arguments}, check, True, lambda text: None))
    return outcome


def test_the_modules_on_files(tmp_path: Path) -> None:
    pairs_file, sealed = tmp_path / "cluster" / "sealing-keys.yaml", tmp_path / "user" / "database.yaml"
    kept = {"path": str(pairs_file), "vault_password": "horse battery"}
    assert run(sealing_keys_module, kept, check=True).changed
    assert not pairs_file.exists()
    made = run(sealing_keys_module, kept)
    assert (made.changed, made.values["made"], made.values["pairs"]) == (True, "there is none", 1)
    assert pairs_file.read_text().startswith("$ANSIBLE_VAULT;")
    assert stat.S_IMODE(pairs_file.stat().st_mode) == 0o600
    again = run(sealing_keys_module, kept)
    assert (again.changed, again.values["fingerprint"]) == (False, made.values["fingerprint"])

    wanted = {"path": str(sealed), "keys_file": str(pairs_file), "vault_password": "horse battery", "name": "database", "namespace": "shop"}
    wanted["values"] = {"password": "correct horse"}
    predicted = run(sealed_secret_module, wanted, check=True)
    assert predicted.changed
    assert not sealed.exists()
    first = run(sealed_secret_module, wanted)
    assert first.values["resealed"] == {"password": "new"}
    assert first.diff == predicted.diff
    assert "correct horse" not in str(first) + sealed.read_text()
    assert yaml.safe_load(sealed.read_text())["kind"] == "SealedSecret"
    assert not run(sealed_secret_module, wanted).changed
    sealed.write_text("kind: Secret\n")
    with pytest.raises(InputError, match="is no SealedSecret, so it is not replaced"):
        run(sealed_secret_module, wanted)
