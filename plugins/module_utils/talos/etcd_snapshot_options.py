# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that the modules of backups have in common, and what is wrong with them, all of it at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.kube.s3 import Keys
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_snapshot_bucket import Bucket, check_url
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_snapshot_store import Directory, Store

STORE_SPEC: dict[str, dict[str, Any]] = {
    "vault_password": {"type": "str", "required": True, "no_log": True},
    "directory": {"type": "path", "required": True},
    "bucket": {"type": "str", "default": ""},
    "region": {"type": "str", "default": "us-east-1"},
    "access_key": {"type": "str", "default": "", "no_log": True},
    "secret_key": {"type": "str", "default": "", "no_log": True},
    "authority": {"type": "str", "default": ""},
}


def check_options(params: Mapping[str, Any]) -> None:
    """Raise InputError that names everything that is wrong."""
    wrong = []
    if not params["vault_password"]:
        wrong.append("there is no vault password, and a backup holds every Secret of the cluster; run with --vault-password-file")
    if params.get("keep", 0) < 0:
        wrong.append(f"keep is {params['keep']}; give how many backups stay, or 0 for all")
    if params["bucket"]:
        wrong += [problem] if (problem := check_url(params["bucket"]).rstrip(".")) else []
        missing = [name for name in ("access_key", "secret_key") if not params[name]]
        wrong += [f"a bucket is given and no {' and no '.join(missing)}"] if missing else []
    if wrong:
        raise InputError("; ".join(wrong), where="backup of etcd", hint="The settings are trinode_etcd_backup_*.")


def store(params: Mapping[str, Any], deadline: Deadline) -> Store:
    """Where these options say that the backups are."""
    if not params["bucket"]:
        return Directory(params["directory"])
    keys = Keys(params["access_key"], params["secret_key"])
    return Bucket(params["bucket"], keys, region=params["region"], deadline=deadline, authority=params["authority"])
