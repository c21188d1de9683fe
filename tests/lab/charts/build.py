#!/usr/bin/env python3
"""Makes the lab's chart repository: one .tgz per chart and version, index.yaml, and images.txt with the images that they name.

    build.py --out DIRECTORY [--real DIRECTORY|URL] [--ceph]

Every chart is a double (see doubles.py and README.md). Same sources, same bytes. Needs nothing but Python, and helm for a URL of real charts.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import sys
import tarfile
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import argocd
import basics
import certificates
import databases
import delivery
import mesh
import monitoring
import storage
from cilium import CILIUM
from doubles import NOTICE, Double, files, images
from real import KEPT, charts, pull

DOUBLES: tuple[Double, ...] = (
    CILIUM,
    *basics.DOUBLES,
    *certificates.DOUBLES,
    *mesh.DOUBLES,
    *storage.DOUBLES,
    *monitoring.DOUBLES,
    argocd.ARGO_CD,
    *delivery.DOUBLES,
    *databases.DOUBLES,
)
# Files of manifests: name, versions, objects of a version.
MANIFESTS = (("gateway-api", ("1.6.1",), basics.gateway_api),)
_CREATED = "2026-01-01T00:00:00Z"


def build(out: Path, real: Path | None = None, *, ceph: bool = False) -> None:
    """Write the repository's files into ``out``, which is made when it is missing. Charts and manifests in ``real`` take the place of doubles.
    ``ceph``: the double of Rook runs a real Ceph.
    """
    out.mkdir(parents=True, exist_ok=True)
    entries: dict[str, list[dict[str, object]]] = {}
    names: set[str] = set()
    taken = set()
    for chart in charts(real) if real else ():
        print(f"real chart: {chart.name} {chart.version}")
        taken.add(chart.name)
        file = f"{chart.name}-{chart.version}.tgz"
        (out / file).write_bytes(chart.archive)
        entry = {"apiVersion": "v2", "name": chart.name, "version": chart.version, "created": _CREATED, "urls": [file]}
        entries.setdefault(chart.name, []).append({**entry, "digest": hashlib.sha256(chart.archive).hexdigest()})
    storages = {double.name: double for double in storage.doubles(ceph=ceph)}
    for double in (storages.get(double.name, double) for double in DOUBLES):
        if double.name in taken:
            continue
        for version in double.versions:
            content = files(double, version)
            archive = _archive(double.name, content)
            file = f"{double.name}-{version}.tgz"
            (out / file).write_bytes(archive)
            entry = {**json.loads(content["Chart.yaml"]), "created": _CREATED, "digest": hashlib.sha256(archive).hexdigest(), "urls": [file]}
            entries.setdefault(double.name, []).insert(0, entry)
            names |= images(double, version)
    for name, versions, objects in MANIFESTS:
        for version in versions:
            text = "".join(f"---\n{json.dumps(item, indent=1)}\n" for item in objects(version))
            (out / f"{name}-{version}.yaml").write_text(f"# {NOTICE}\n{text}")
    for manifest in sorted(real.glob("*.yaml")) if real else ():
        (out / manifest.name).write_bytes(manifest.read_bytes())
    (out / "index.yaml").write_text(json.dumps({"apiVersion": "v1", "entries": entries, "generated": _CREATED}, indent=1))
    (out / "images.txt").write_text("".join(f"{name}\n" for name in sorted(names)))


def _archive(name: str, content: dict[str, str]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, text in content.items():
            data = text.encode()
            member = tarfile.TarInfo(f"{name}/{path}")
            member.size, member.mode = len(data), 0o644
            archive.addfile(member, io.BytesIO(data))
    return gzip.compress(raw.getvalue(), mtime=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="directory for the repository")
    parser.add_argument("--real", help="directory or repository (URL) of real charts (*.tgz) and manifests (*.yaml) that take the place of doubles")
    parser.add_argument("--ceph", action="store_true", help="the double of Rook runs a real Ceph, of this computer's programs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        try:
            build(options.out, _directory(options.real, Path(temporary)) if options.real else None, ceph=options.ceph)
        except ValueError as error:
            sys.exit(str(error))


def _directory(real: str, temporary: Path) -> Path:
    """The directory of real charts; those of a repository are pulled."""
    if "://" not in real:
        if not Path(real).is_dir():
            raise ValueError(f"{real} is neither a directory nor a URL")
        return Path(real)
    wanted = [(double.name, version) for double in DOUBLES if double.name != KEPT for version in double.versions]
    pull(real.rstrip("/"), wanted, [f"{name}-{version}.yaml" for name, versions, _objects in MANIFESTS for version in versions], temporary)
    return temporary


if __name__ == "__main__":
    main()
