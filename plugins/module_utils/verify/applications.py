# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Argo CD says of its Applications, and whether it is in a state to say anything. Pure."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.argocd import status
from ansible_collections.trinode.platform.plugins.module_utils.argocd.platform import USER
from ansible_collections.trinode.platform.plugins.module_utils.kube.states import Json, condition, number, part, said
from ansible_collections.trinode.platform.plugins.module_utils.verify.drift import Drift

# It looks at each every three minutes at most; what it said before that is old.
STALE = dt.timedelta(minutes=15)
_AGAIN = "Until then what it says of Applications is old"
_FILE = re.compile(r"[\w./@+-]+\.(?:ya?ml|json|jsonnet)\b")
# A resource that could not be synced, as status.failure names it.
_RESOURCE = re.compile(r"\b([A-Z][A-Za-z]+) (?:([a-z0-9.-]+)/)?([a-z0-9.:-]+): ")


@dataclass(frozen=True)
class Seen:
    """What was read. ``expected`` are the Applications that have to be there, with the component of each ("" for others).

    ``sets`` are ApplicationSets, ``workloads`` Argo CD's own Deployments and StatefulSets, ``files`` the user's files in Git by path, as far as they can
    be read.
    """

    applications: Mapping[str, Json]
    expected: Mapping[str, str]
    sets: Sequence[Json]
    workloads: Sequence[Json]
    files: Mapping[str, str]
    now: dt.datetime


def judge(seen: Seen) -> list[Drift]:
    """Argo CD itself, what is missing, and every Application that is not as Git has it, the platform's first."""
    found = list(_argo_cd(seen))
    for name, component in seen.expected.items():
        if name not in seen.applications:
            found.append(Drift("cluster", f"Application {name}", "It is gone; what it delivered is still there", _run(component)))
    found += [finding for item in seen.sets if (finding := _set(item))]
    users = [name for name, item in seen.applications.items() if is_users(item)]
    ours = [name for name in seen.applications if name not in users]
    for name in [*sorted(ours), *sorted(users)]:
        found += _user(seen.applications[name], seen.files) if name in users else _ours(seen.applications[name], seen.expected.get(name, ""))
    return found


def is_users(item: Json) -> bool:
    """Whether an Application is of the user's project, for a directory of theirs."""
    return part(item, "spec").get("project") == USER


def directory(item: Json) -> str:
    """The directory in Git that an Application is made from."""
    return str(part(item, "spec", "source").get("path") or "")


def problems(item: Json) -> list[str]:
    """Why an Application is not Synced and Healthy, in Argo CD's words; empty when it is."""
    states = [status.synced(item, status.any_revision), status.healthy(item)]
    found = [state.reason for state in states if not state.ready]
    refused = status.operation_failure(item, status.any_revision) if found and not status.in_progress(item) else ""
    if refused and not any(refused in text for text in found):
        found.append(f"the last sync failed: {refused}")
    return list(dict.fromkeys(text for text in [*found, *status.warnings(item)] if text))


def _argo_cd(seen: Seen) -> Iterator[Drift]:
    if not seen.expected and not seen.applications:
        return
    running = False
    for item in seen.workloads:
        wanted, ready = number(part(item, "spec"), "replicas", 1), number(part(item, "status"), "readyReplicas")
        name = item["metadata"]["name"]
        running = running or ready > 0
        if ready == 0:
            yield Drift("cluster", "Argo CD", f"{name} does not run{'' if wanted else ': it is scaled to 0'}", f"Look at its pods. {_AGAIN}")
        elif ready < wanted:
            yield Drift("cluster", "Argo CD", f"{ready} of {wanted} {name} are ready", "Look at its pods")
    if not seen.workloads:
        yield Drift("cluster", "Argo CD", "It is not installed, and has Applications to deliver", "Run playbooks/platform.yml --limit argo_cd")
    old = [name for name, item in seen.applications.items() if (looked := _time(part(item, "status").get("reconciledAt"))) and seen.now - looked > STALE]
    if old and running:
        minutes = int(STALE.total_seconds() // 60)
        problem = f"It has not looked at {', '.join(sorted(old)[:5])}{' and others' if len(old) > 5 else ''} for more than {minutes} minutes"
        yield Drift("cluster", "Argo CD", problem, f"Look at the log of its application controller. {_AGAIN}")


def _set(item: Json) -> Drift | None:
    """One that makes no Applications any more: those that there are stay as they are, and new directories have none."""
    failed = condition(part(item, "status"), "ErrorOccurred")
    if failed.get("status") != "True":
        return None
    advice = "Look at the directories of its generators in Git, and at Argo CD's way to the repository"
    return Drift("cluster", f"ApplicationSet {item['metadata']['name']}", f"It cannot make its Applications: {said(failed, 'no reason given')}", advice)


def _ours(item: Json, component: str) -> Iterator[Drift]:
    where = f"Application {item['metadata']['name']}"
    found = problems(item)
    if found:
        yield Drift("cluster", where, "; ".join(found), _advice(item, found, component))
    if component and not _automated(item):
        yield Drift("cluster", where, "Its automation is switched off: nothing heals what is changed by hand", _run(component))


def _user(item: Json, files: Mapping[str, str]) -> Iterator[Drift]:
    found = problems(item)
    if not found:
        return
    text, place = "; ".join(found), directory(item)
    broken = broken_file(text, place, files)
    where = broken or place or f"Application {item['metadata']['name']}"
    what = "does not become what Argo CD can apply" if status.condition(item) else "is not in the cluster as it is in Git"
    advice = f"It is the user's: correct {broken or f'the files in {place}'} and push. The platform's own Applications are not concerned"
    yield Drift("cluster", where, f"{place} ({item['metadata']['name']}) {what}: {text}", advice)


def broken_file(text: str, place: str, files: Mapping[str, str]) -> str:
    """The path of the file that an error is about: one that it names, or the one with the resource that it names; "" where there is none."""
    inside = {path: content for path, content in files.items() if path.startswith(f"{place}/")}
    for match in _FILE.finditer(text):
        name = match.group().rsplit("/", 1)[-1]
        paths = [path for path in inside if path.rsplit("/", 1)[-1] == name]
        return paths[0] if len(paths) == 1 else f"{place}/{name}"
    for match in _RESOURCE.finditer(text):
        paths = sorted(_holding(inside, match.group(1), match.group(3)))
        if paths:
            return paths[0]
    return ""


def _holding(files: Mapping[str, str], kind: str, name: str) -> Iterable[str]:
    """The files with a document of this kind and name."""
    patterns = (rf"^kind:\s*[\"']?{re.escape(kind)}[\"']?\s*$", rf"\bname:\s*[\"']?{re.escape(name)}[\"']?\s*(?:[,}}]|$)")
    wanted = [re.compile(pattern, re.MULTILINE) for pattern in patterns]
    for path, text in files.items():
        if any(all(pattern.search(document) for pattern in wanted) for document in re.split(r"^---", text, flags=re.MULTILINE)):
            yield path


def _advice(item: Json, found: Sequence[str], component: str) -> str:
    if status.in_progress(item):
        return "Wait until it is done, and run playbooks/verify.yml again"
    if any(status.behind_the_scenes(text) for text in found):
        return "Look at Argo CD's own pods, and at its way to the repository"
    return _run(component) if component else "Look at it in Argo CD"


def _run(component: str) -> str:
    return f"Run playbooks/platform.yml{f' --limit {component}' if component else ''}"


def _automated(item: Json) -> bool:
    automated = part(item, "spec", "syncPolicy").get("automated")
    return isinstance(automated, Mapping) and bool(automated.get("selfHeal")) and automated.get("enabled", True) is not False


def _time(text: object) -> dt.datetime | None:
    try:
        return dt.datetime.fromisoformat(str(text))
    except ValueError:
        return None
