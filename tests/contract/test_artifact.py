"""The built archive: it holds what is needed and no more, and works from an empty place, without the checkout."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(sys.executable).parent
KINDS = {"action": "", "doc_fragments": "", "module_utils": "", "modules": "module", "filter": "filter", "lookup": "lookup", "callback": "callback"}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the files that Git knows or would take, as a fresh clone would have them."""
    source = tmp_path_factory.mktemp("source")
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=CHECKOUT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (CHECKOUT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, source / name)
    target = tmp_path_factory.mktemp("target")
    ansible("ansible-galaxy", "collection", "build", str(source), "--output-path", str(target), place=target)
    (built,) = target.iterdir()
    return built


@pytest.fixture(scope="module")
def installed(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of collections that holds nothing but ours."""
    place = tmp_path_factory.mktemp("collections")
    ansible("ansible-galaxy", "collection", "install", str(archive), "--offline", "--collections-path", str(place), place=place)
    return place


def ansible(program: str, *arguments: str, place: Path, variables: dict[str, str] | None = None) -> str:
    """Run a program of ansible-core in ``place``, with no settings but those given; a failure shows what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment.update({"ANSIBLE_COLLECTIONS_PATH": str(place), "LC_ALL": "C.UTF-8", **(variables or {})})
    done = subprocess.run([PROGRAMS / program, *arguments], cwd=place, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{program} {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_archive_is_named_after_galaxy_yml(archive: Path) -> None:
    galaxy = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())
    assert archive.name == f"trinode-platform-{galaxy['version']}.tar.gz"


def test_the_archive_holds_what_is_needed_and_no_more(archive: Path) -> None:
    with tarfile.open(archive) as content:
        names = {member.name for member in content if member.isfile()}
    tops = {name.split("/")[0] for name in names}
    assert tops <= {
        "FILES.json", "MANIFEST.json", "CHANGELOG.md", "LICENSE", "README.md", "changelogs", "docs", "inventory", "meta", "playbooks", "plugins",
        "requirements.txt", "roles", "site.yml",
    }, sorted(tops)  # fmt: skip
    assert {"LICENSE", "README.md", "meta/runtime.yml", "playbooks/site.yml", "plugins/action/in_process.py", "site.yml"} <= names
    junk = [name for name in names if re.search(r"(^|/)(\.|__pycache__|tests?/)|\.(pyc|retry|tar\.gz)$|secrets\.yaml$|kubeconfig$|talosconfig$", name)]
    assert junk == []


def test_every_file_needed_at_run_time_is_there(archive: Path) -> None:
    with tarfile.open(archive) as content:
        names = {member.name for member in content if member.isfile()}
    listed = subprocess.run(["git", "ls-files", "plugins", "roles", "playbooks", "meta"], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    wanted = {name for name in listed.stdout.splitlines() if (CHECKOUT / name).exists()}
    assert wanted - names == set()


def test_playbooks_are_found_and_sound(installed: Path) -> None:
    collection = installed / "ansible_collections" / "trinode" / "platform"
    inventory = str(collection / "inventory" / "example")
    ansible("ansible-playbook", "trinode.platform.site", "--syntax-check", "-i", inventory, place=installed)
    ansible("ansible-playbook", str(collection / "site.yml"), "--syntax-check", "-i", inventory, place=installed)
    for playbook in sorted((collection / "playbooks").glob("*.yml")):
        ansible("ansible-playbook", f"trinode.platform.{playbook.stem}", "--syntax-check", "-i", inventory, place=installed)


def plugins(kind: str) -> list[str]:
    return sorted(f"trinode.platform.{path.stem}" for path in (CHECKOUT / "plugins" / kind).glob("*.py") if path.stem != "__init__")


def test_every_kind_of_plugin_is_known_to_this_test() -> None:
    kinds = {path.name for path in (CHECKOUT / "plugins").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert kinds <= set(KINDS)


@pytest.mark.parametrize("kind", [kind for kind, name in KINDS.items() if name and plugins(kind)])
def test_ansible_doc_shows_every_plugin(installed: Path, kind: str) -> None:
    shown: dict[str, Any] = json.loads(ansible("ansible-doc", "--json", "--type", KINDS[kind], *plugins(kind), place=installed))
    assert sorted(shown) == plugins(kind)
    for name, content in shown.items():
        assert content["doc"]["short_description"], name
        assert content["examples"], f"{name} has no example"


def test_ansible_doc_shows_every_role(installed: Path) -> None:
    shown = json.loads(ansible("ansible-doc", "--json", "--type", "role", "--list", "trinode.platform", place=installed))
    roles = sorted(f"trinode.platform.{path.name}" for path in (CHECKOUT / "roles").iterdir() if path.is_dir())
    assert sorted(shown) == roles, "each role needs meta/argument_specs.yml"


def test_a_module_runs_in_the_worker_and_the_ordinary_way(installed: Path) -> None:
    for way in ("true", "false"):
        arguments = ["localhost", "-m", "trinode.platform.image_schematic", "-e", f"trinode_in_process={way}"]
        assert "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba" in ansible("ansible", *arguments, place=installed)
