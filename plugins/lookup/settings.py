# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: settings
author:
  - trinode.platform contributors (@trinode)
short_description: What the inventory sets for this collection, by host, with the file and line of each
version_added: 1.0.0
description:
  - Gathers the variables with this collection's prefixes (C(trinode_), C(machine_), C(component_), and each component's name) that the user set for the
    run as a whole, for each host of the groups C(machines) and C(components), and the defaults of those that were not set.
  - It looks at the whole inventory, whatever C(--limit) says.
  - A variable whose template fails does not end the lookup; the reason stands in its place. A value that is encrypted with Ansible Vault is decrypted
    to see that it can be, and left out.
  - It is what M(trinode.platform.preflight) judges.
options: {}
"""

EXAMPLES = r"""
- name: Judge the inventory
  trinode.platform.preflight:
    settings: "{{ lookup('trinode.platform.settings') }}"
"""

RETURN = r"""
_raw:
  description:
    - One dictionary with C(cluster), lists C(machines) and C(components) of such hosts, C(declared) (names that roles of this collection declare) and
      C(source) (the inventory). A component also has what its role's argument spec says of the variables that were set (C(spec)).
    - A host has C(name), C(origin) and C(variables); a variable has C(value), or C(error), or C(withheld), and C(origin) (C(file) and C(line)) unless it
      is a default.
  type: list
  elements: dict
"""

import difflib
import functools
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleError
from ansible.parsing.vault import EncryptedString
from ansible.plugins.lookup import LookupBase
from ansible.template import trust_as_template

from ansible_collections.trinode.platform.plugins.module_utils.preflight.settings import PREFIXES, SETTINGS

try:
    from ansible._internal._datatag import _tags
except ImportError:
    _ORIGIN: Any = None
    _SECRET: tuple[Any, ...] = ()
else:
    # Core marks each value with where it came from. This is no public interface, so all goes on without it, only with less to show.
    _ORIGIN = getattr(_tags, "Origin", None)
    _MARKS = (getattr(_tags, "VaultedValue", None), getattr(_tags, "SourceWasEncrypted", None))
    _SECRET = tuple(mark for mark in _MARKS if mark is not None)

_ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
_ROLES = os.path.join(_ROOT, "roles")
_OF_COMPONENTS: tuple[tuple[str, Any], ...] = (("needs", []), ("uses", []), ("version", ""), ("namespace", ""))
_VAULT_MAGIC = b"$ANSIBLE_VAULT;"
_YAML_KEY = re.compile(r"^[ -]*[\w./-]+:", re.MULTILINE)
_OWN = tuple(os.path.join(_ROOT, part, "") for part in ("roles", "playbooks"))


class LookupModule(LookupBase):
    """Ansible's entry point."""

    def run(self, terms: list[str], variables: Mapping[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        self.set_options(var_options=variables, direct=kwargs)
        if terms:
            raise AnsibleError("The lookup trinode.platform.settings takes no terms.")
        if variables is None or "hostvars" not in variables:
            raise AnsibleError("The lookup trinode.platform.settings needs an inventory.")
        hostvars, groups = variables["hostvars"], variables["groups"]
        prefixes = (*PREFIXES, *(f"{name}_" for name in groups.get("components", ())))
        derived = {name: _trusted(value) for name, value in self._derived().items()}
        hosts = _Hosts(self._templar, hostvars, prefixes, derived)
        cluster = hosts.read("localhost", ("cluster", "anywhere"))
        common = {name: entry for name, entry in cluster["variables"].items() if name not in SETTINGS or SETTINGS[name].scope != "machine"}
        return [
            {
                "cluster": {**cluster, "name": "all", "origin": None},
                "machines": [hosts.read(name, ("machine",), common) for name in groups.get("machines", ())],
                "components": [self._component(hosts, name, common) for name in groups.get("components", ())],
                "declared": sorted(set(self._declared(groups.get("components", ())))),
                "forks": int(variables.get("ansible_forks") or 0),
                "source": _shown((variables.get("ansible_inventory_sources") or ["inventory"])[0]),
            }
        ]

    def _component(self, hosts: _Hosts, name: str, common: Mapping[str, Any]) -> dict[str, Any]:
        """A component's host, whether there is a role of its name, its version and namespace, which components it needs and uses, and its role's words
        on what the user set.
        """
        host = hosts.read(name, (), common)
        role = os.path.join(_ROLES, str(name))
        defaults = self._load(os.path.join(role, "defaults", "main.yml"))
        found = {key: hosts.value(name, f"{name}_{key}", defaults.get(f"{name}_{key}", empty)) for key, empty in _OF_COMPONENTS}
        spec = self._spec(role, [variable for variable in {**common, **host["variables"]} if variable in defaults])
        return {**host, "role": os.path.isdir(os.path.join(role, "tasks")), **found, "spec": spec}

    def _spec(self, role: str, variables: Iterable[str]) -> dict[str, Any]:
        """What a role's argument spec says of these variables; it takes long to read, so only where there is one."""
        wanted = set(variables)
        specs = self._load(os.path.join(role, "meta", "argument_specs.yml")) if wanted else {}
        options = specs.get("argument_specs", {}).get("main", {}).get("options", {})
        return {name: _kind(options[name]) for name in sorted(wanted & options.keys())}

    def _derived(self) -> dict[str, Any]:
        """Variables that follow from settings."""
        directory = os.path.join(_ROLES, "trinode", "vars", "main")
        found: dict[str, Any] = {}
        for file in sorted(os.listdir(directory)) if os.path.isdir(directory) else []:
            found.update(self._load(os.path.join(directory, file)))
        return found

    def _declared(self, components: Iterable[str]) -> Iterator[str]:
        """Variables that the roles of this collection declare, in their argument specs or defaults; settings of the schema are known anyway."""
        # Specs take long to read; a component's are its defaults, preflight's are the schema (tests keep both so).
        defaults_say_all = {*components, "preflight"}
        for role in sorted(os.listdir(_ROLES)) if os.path.isdir(_ROLES) else []:
            yield from self._keys(os.path.join(_ROLES, role, "defaults", "main.yml"))
            if role in defaults_say_all:
                continue
            specs = self._load(os.path.join(_ROLES, role, "meta", "argument_specs.yml"))
            for entry_point in (specs.get("argument_specs") or {}).values():
                yield from (str(option) for option in entry_point.get("options") or {})

    def _keys(self, path: str) -> Iterator[str]:
        yield from (str(key) for key in self._load(path))

    def _load(self, path: str) -> dict[str, Any]:
        # "unsafe" is without a copy, which takes longer than everything else here; nothing of it is changed.
        return (self._loader.load_from_file(path, unsafe=True) or {}) if os.path.exists(path) else {}


class _Hosts:
    """Reads hosts' variables. ``derived`` are variables that follow from settings and may be used in others."""

    def __init__(self, templar: Any, hostvars: Any, prefixes: tuple[str, ...], derived: Mapping[str, Any]) -> None:
        self._templar = templar
        self._hostvars = hostvars
        self._prefixes = prefixes
        self._defaults = {setting.name: _trusted(setting.default) for setting in SETTINGS.values() if not setting.required}
        self._derived = derived
        self._environments: dict[str, tuple[dict[str, Any], Any]] = {}

    def read(self, name: str, scopes: tuple[str, ...], common: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One host: what the user set (but for what it has in ``common`` with the run as a whole), and the defaults of settings of these ``scopes``."""
        raw, templar = self._environment(name)
        found = {}
        for variable in sorted(filter(self._concerns_us, raw)):
            place = _place(raw, variable)
            if place is not None and not (common and variable in common and common[variable].get("origin") == place):
                found[variable] = {**_value(templar, variable, raw[variable]), "origin": place}
        for setting in SETTINGS.values():
            if setting.scope in scopes and setting.name in self._defaults and setting.name not in found:
                found[setting.name] = _value(templar, setting.name, self._defaults[setting.name])
        return {"name": str(name), "origin": _origin(name), "variables": found}

    def value(self, host: str, variable: str, default: Any) -> Any:
        """One variable of a host, the user's or the default."""
        raw, templar = self._environment(host)
        return _value(templar, variable, raw.get(variable, _trusted(default))).get("value")

    def _environment(self, host: str) -> tuple[dict[str, Any], Any]:
        """A host's variables as they were written, and what turns templates in them into values."""
        if host not in self._environments:
            raw = dict(self._hostvars.raw_get(host))
            available = {**self._defaults, **raw, **self._derived, "hostvars": self._hostvars}
            self._environments[host] = raw, self._templar.copy_with_new_env(available_variables=available)
        return self._environments[host]

    def _concerns_us(self, name: str) -> bool:
        """Whether it has a prefix of ours or a component's, or one so like ours that it was probably meant."""
        prefix, separator, _rest = name.partition("_")
        return name.startswith(self._prefixes) or bool(separator and difflib.get_close_matches(prefix + separator, PREFIXES, n=1, cutoff=0.8))


def _kind(option: Mapping[str, Any]) -> dict[str, Any]:
    """Of an option of an argument spec what a value is judged by."""
    found = {key: option[key] for key in ("type", "elements", "choices", "required") if key in option}
    return {**found, "options": {name: _kind(inner) for name, inner in option["options"].items()}} if option.get("options") else found


def _place(raw: Mapping[str, Any], variable: str) -> dict[str, Any] | None:
    """Where the user set a variable; None when it was not the user (a task of this collection did, or a result was registered)."""
    if _ORIGIN is None:
        return {"file": "inventory", "line": 0}
    key = next(name for name in raw if name == variable)
    tag = _ORIGIN.get_tag(key) or _ORIGIN.get_tag(raw[variable])
    if tag is None or (tag.path and os.path.realpath(tag.path).startswith(_OWN)):
        return None
    return _origin(key) or _origin(raw[variable])


def _origin(value: Any) -> dict[str, Any] | None:
    tag = _ORIGIN.get_tag(value) if _ORIGIN else None
    if tag is None:
        return None
    if not tag.path:
        return {"file": str(tag.description).strip("<>"), "line": 0}
    return {"file": _shown(tag.path), "line": tag.line_num or 0}


def _shown(path: str) -> str:
    """The path as a person in this directory would write it."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def _trusted(default: Any) -> Any:
    return trust_as_template(default) if isinstance(default, str) else default


def _value(templar: Any, name: str, raw: Any) -> dict[str, Any]:
    """The value, or why there is none, or that it is secret."""
    try:
        value = templar.template(raw)
        # A password that is looked up stands in clear in no file of the inventory either.
        secret = _is_secret(raw) or _is_secret(value) or (name.endswith("_password") and value not in ("", None) and value != raw)
    except AnsibleError as error:
        return {"error": _reason(error)}
    return {"withheld": True} if secret else {"value": _outline(value) if name.endswith("_patches") else value}


def _outline(patches: Any) -> Any:
    """Patches without what they set, which may be a password that was put together from a secret. Keys and kinds are all that is judged."""
    if isinstance(patches, Mapping):
        return {key: _outline(value) for key, value in patches.items()}
    if isinstance(patches, (list, tuple)):
        return [_outline(value) for value in patches]
    if isinstance(patches, str):
        return "\n".join(_YAML_KEY.findall(patches)) or ("text" if patches else "")
    return patches


def _reason(error: BaseException) -> str:
    """The first line of the innermost reason, since the outer ones only say that there was one."""
    while isinstance(error.__cause__, AnsibleError):
        error = error.__cause__
    return (str(getattr(error, "message", "")) or str(error)).strip().splitlines()[0].rstrip(".")


def _is_secret(value: Any) -> bool:
    """Whether it is, or holds, something that came out of Ansible Vault: a value of its own, or one of a file that is encrypted whole."""
    if isinstance(value, EncryptedString) or any(tag.is_tagged_on(value) for tag in _SECRET):
        return True
    origin = _ORIGIN.get_tag(value) if _ORIGIN else None
    if origin is not None and origin.path and _is_vault_file(origin.path):
        return True
    inner: Iterable[Any] = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return any(_is_secret(element) for element in inner)


@functools.cache
def _is_vault_file(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(_VAULT_MAGIC)) == _VAULT_MAGIC
    except OSError:
        return False
