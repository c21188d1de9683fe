#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: git_publish
short_description: Keep a component's files in a Git repository
version_added: 1.0.0
description:
  - Makes files and directories of a Git repository what they are to be, by one commit on top of whatever is there. Nothing is committed when nothing differs.
  - Others may commit to the same branch at any time, and so may many tasks at once. History is never rewritten, and nothing is forced.
  - Edits of others inside the targets are refused, or with O(overwrite) overwritten and told. Edits elsewhere are left alone.
  - There is no work tree. O(repository) is a bare repository, which holds what O(url) has, or all that there is where O(url) is empty.
author:
  - trinode.platform contributors (@trinode)
extends_documentation_fragment:
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_platform
requirements:
  - Git 2.32 or newer on the controller, and OpenSSH for URLs with SSH
options:
  state:
    description: >-
      V(present) writes the targets, V(absent) removes them, V(inspected) only reads: it reports edits of others inside everything below O(path) that was
      ever published. V(restored) goes the other way: a directory that is missing on the controller is made from the repository, where that has it.
    type: str
    choices: [present, absent, inspected, restored]
    default: present
  repository:
    description: Directory of the bare repository on the controller. It is made when it is missing.
    type: path
    required: true
  url:
    description: >-
      The repository that others read: C(https://HOST/PATH.git), C(ssh://git@HOST/PATH.git), C(git@HOST:PATH.git) or a local path. Empty keeps all in
      O(repository) alone. Credentials do not belong into it.
    type: str
    default: ""
  branch:
    description: The branch. It is made when it is missing.
    type: str
    default: main
  path:
    description: Directory in the repository that targets are relative to. Empty is its top.
    type: str
    default: ""
  component:
    description: Name for the commit's message. Required with O(state=present) and O(state=absent).
    type: str
  contents:
    description: What the component has in the repository. Required unless O(state=inspected).
    type: list
    elements: dict
    suboptions:
      target:
        description: Path of a directory or a file, relative to O(path). What is below C(user/) cannot be a target.
        type: str
        required: true
      source:
        description: >-
          A directory on the controller. The target becomes a directory with its files that end in C(.yaml), hidden ones left out, and no others.
        type: path
      content:
        description: The text of the target, which becomes a file.
        type: str
  versions:
    description: Versions by name, for the message. Those of before are known from the commits.
    type: dict
    default: {}
  overwrite:
    description: Overwrite edits of others inside the targets.
    type: bool
    default: false
  username:
    description: User for HTTPS.
    type: str
    default: git
  token:
    description: Token or password for HTTPS.
    type: str
    default: ""
  ssh_key:
    description: Private key for SSH, without a passphrase. Empty uses the user's own keys and agent.
    type: str
    default: ""
  known_hosts:
    description: Lines with the SSH host keys of the server. Empty uses the user's own. An unknown server is refused.
    type: str
    default: ""
  ca:
    description: Certificates (PEM) that the server's is to be signed by. Empty uses the system's.
    type: str
    default: ""
  author_name:
    description: Author of the commits.
    type: str
    default: trinode.platform
  author_email:
    description: The author's address.
    type: str
    default: trinode@localhost
  timeout:
    description: Seconds after which the task gives up.
    type: int
    default: 120
attributes:
  check_mode:
    support: full
    details: The server is asked, and nothing is written there.
  diff_mode:
    support: full
    details: A unified diff of each file, of bounded length. Secrets are hidden.
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Publish cert-manager
  trinode.platform.git_publish:
    repository: "{{ inventory_dir }}/cluster/platform.git"
    url: https://git.example.org/platform/cluster.git
    token: "{{ vaulted_git_token }}"
    component: cert_manager
    contents:
      - target: components/cert_manager
        source: "{{ rendered.path }}"
      - target: apps/cert_manager.yaml
        content: "{{ application }}"
    versions:
      cert-manager: v1.21.1

- name: What have others edited in our files?
  trinode.platform.git_publish:
    repository: "{{ inventory_dir }}/cluster/platform.git"
    url: git@git.example.org:platform/cluster.git
    ssh_key: "{{ vaulted_deploy_key }}"
    known_hosts: git.example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI...
    state: inspected

- name: On a new controller, begin with what the repository has
  trinode.platform.git_publish:
    repository: "{{ inventory_dir }}/cluster/platform.git"
    url: git@git.example.org:platform/cluster.git
    ssh_key: "{{ vaulted_deploy_key }}"
    known_hosts: git.example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI...
    state: restored
    contents:
      - target: components/cert_manager
        source: "{{ inventory_dir }}/cluster/platform/cert_manager"
"""

RETURN = r"""
commit:
  description: The commit that last changed the targets. Whoever delivers from the repository must have reached it. Empty when there is none.
  type: str
  returned: success, unless O(state=restored)
  sample: 3f2a9c0e6c1f0d6f6a1f9a3a7a2a5f0c9d0f1b2e
head:
  description: The newest commit of the branch. In check mode the one that is there.
  type: str
  returned: success
  sample: 3f2a9c0e6c1f0d6f6a1f9a3a7a2a5f0c9d0f1b2e
subject:
  description: First line of the commit that was made, or in check mode would be; empty when there was nothing to commit.
  type: str
  returned: success
  sample: "cert_manager: cert-manager v1.20.0 -> v1.21.1, 3 resources changed"
pushed:
  description: Whether something was written to O(url).
  type: bool
  returned: success
  sample: true
remote:
  description: Whether there is a repository that others can read.
  type: bool
  returned: success
  sample: true
restored:
  description: The targets whose directories were made on the controller.
  type: list
  elements: str
  returned: with O(state=restored)
  sample: [components/cert_manager]
settled:
  description: By the name of each directory in a source that the repository has as it is here, the commit that brought it there.
  type: dict
  returned: with O(state=restored)
  sample: {cert_manager: 3f2a9c0e6c1f0d6f6a1f9a3a7a2a5f0c9d0f1b2e}
edits:
  description: Edits of others inside the targets, overwritten or the reason to refuse; with O(state=inspected) all there are.
  type: list
  elements: dict
  returned: always, unless it failed before they were looked for
  contains:
    component: {description: The component whose file it is., type: str, sample: cert_manager}
    file: {description: Path in the repository., type: str, sample: components/cert_manager/deployment-cert-manager-cert-manager.yaml}
    author: {description: Who has edited it last., type: str, sample: "Ada Example <ada@example.org>"}
    commit: {description: The commit that did., type: str, sample: 9d0f1b2e3f2a9c0e6c1f0d6f6a1f9a3a7a2a5f0c}
    diff: {description: Unified diff from what we had left to what is there. Secrets are hidden., type: str, sample: "--- a/components/..."}
"""

from functools import partial
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.git import contents, edits
from ansible_collections.trinode.platform.plugins.module_utils.git.publish import Published, Request, opened, publish
from ansible_collections.trinode.platform.plugins.module_utils.git.remote import Remote
from ansible_collections.trinode.platform.plugins.module_utils.git.repository import Author, Repository
from ansible_collections.trinode.platform.plugins.module_utils.git.restore import restore
from ansible_collections.trinode.platform.plugins.module_utils.git.settled import settled
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "absent", "inspected", "restored"], "default": "present"},
    "repository": {"type": "path", "required": True},
    "url": {"type": "str", "default": ""},
    "branch": {"type": "str", "default": "main"},
    "path": {"type": "str", "default": ""},
    "component": {"type": "str"},
    "contents": {
        "type": "list",
        "elements": "dict",
        "options": {"target": {"type": "str", "required": True}, "source": {"type": "path"}, "content": {"type": "str"}},
    },
    "versions": {"type": "dict", "default": {}},
    "overwrite": {"type": "bool", "default": False},
    "username": {"type": "str", "default": "git"},
    "token": {"type": "str", "default": "", "no_log": True},
    "ssh_key": {"type": "str", "default": "", "no_log": True},
    "known_hosts": {"type": "str", "default": ""},
    "ca": {"type": "str", "default": ""},
    "author_name": {"type": "str", "default": "trinode.platform"},
    "author_email": {"type": "str", "default": "trinode@localhost"},
    "timeout": {"type": "int", "default": 120},
}


def run(task: Task) -> Outcome:
    params = task.params
    deadline = Deadline(params["timeout"])
    remote = Remote(**{name: params[name] for name in ("url", "username", "token", "ssh_key", "known_hosts", "ca")}) if params["url"] else None
    request = _request(task) if params["state"] in ("present", "absent") else None
    if remote and remote.warning:
        task.warn(remote.warning)
    if params["state"] == "restored":
        reach = partial(opened, params["repository"], params["branch"], remote, deadline, check=task.check_mode)
        names = restore(params["contents"], params["path"], reach, check=task.check_mode)
        with reach() as repository:
            there = settled(repository, params["contents"], params["path"])
        return Outcome(changed=bool(names), message=", ".join(names) or "all directories are there", values={"restored": names, "settled": there})
    with opened(params["repository"], params["branch"], remote, deadline, check=task.check_mode or request is None) as repository:
        if request is None:
            return _inspected(repository, contents.prefix(params["path"]))
        found = publish(repository, request, check=task.check_mode, diff=task.diff_mode)
    for edit in found.edits:
        task.warn(f"{edit.file} was edited by {edit.author} in {edit.commit[:12]}; that {'would be' if task.check_mode else 'is'} overwritten")
    return Outcome(
        changed=found.changed,
        message=found.subject or ("what was kept here until now" if found.changed else "nothing to commit"),
        diff=[{"prepared": text} for _path, text in found.diffs],
        values={**_values(found, repository), "edits": [edit.as_dict() for edit in found.edits]},
    )


def _request(task: Task) -> Request:
    params = task.params
    contents.check_component(params["component"])
    absent = params["state"] == "absent"
    return Request(
        component=params["component"],
        wanted=contents.read(params["contents"], params["path"], absent=absent),
        versions={str(name): str(version) for name, version in params["versions"].items()},
        absent=absent,
        overwrite=params["overwrite"],
        author=Author(params["author_name"], params["author_email"]),
    )


def _values(found: Published, repository: Repository) -> dict[str, Any]:
    return {"commit": found.commit, "head": found.head, "subject": found.subject, "pushed": found.pushed, "remote": bool(repository.url)}


def _inspected(repository: Repository, path: str) -> Outcome:
    head = repository.look().commit
    found = edits.drift(repository, head, path)
    message = f"{len(found)} files of ours were edited by others: {', '.join(str(edit) for edit in found[:5])}" if found else "nobody has edited files of ours"
    values = _values(Published(head, head, changed=False), repository)
    return Outcome(message=message, values={**values, "edits": [edit.as_dict() for edit in found]}, diff=[{"prepared": edit.diff} for edit in found])


def main() -> None:
    needed = ("component", "contents")
    run_module(
        run,
        argument_spec=ARGUMENT_SPEC,
        required_if=[("state", "present", needed), ("state", "absent", needed), ("state", "restored", ("contents",))],
        hide=lambda params: Remote(params["url"]).credentials,
    )


if __name__ == "__main__":
    main()
