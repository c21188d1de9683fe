# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that say where etcd's backups are (module_utils/talos/etcd_snapshot_options.py)."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  vault_password:
    description: Password that a backup is encrypted with, the one of Ansible Vault.
    type: str
    required: true
  directory:
    description: Directory of the backups. With O(bucket) it is only where the run works, and needs room for the database twice.
    type: path
    required: true
  bucket:
    description: URL of a bucket of an S3 store, with a prefix if there is to be one, that holds the backups instead of O(directory).
    type: str
    default: ""
  region:
    description: Region of the bucket, as its store calls it.
    type: str
    default: us-east-1
  access_key:
    description: Access key of the bucket's user.
    type: str
    default: ""
  secret_key:
    description: Secret key of the bucket's user.
    type: str
    default: ""
  authority:
    description: Certificate authority of the bucket's server in PEM, where it is not a public one.
    type: str
    default: ""
"""
