"""The toolbox: /etc/ceph as the cluster's clients need it, so that `kubectl exec deploy/rook-ceph-tools -- ceph status` works, and kept so."""

from __future__ import annotations

import base64
import http.client
import signal
import sys
import time
from pathlib import Path

import pods
from kube import Kube, KubeError
from probes import serve

_DIRECTORY = Path("/etc/ceph")
_SECONDS = 3.0


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    serve()
    kube = Kube()
    _DIRECTORY.mkdir(exist_ok=True)
    while True:
        try:
            configuration, keyring = kube.get("ConfigMap", pods.CONFIGURATION), kube.get("Secret", "rook-ceph-admin-keyring")
        except (KubeError, OSError, http.client.HTTPException) as error:
            print(error, flush=True)
        else:
            if configuration and keyring:
                _write(_DIRECTORY / "ceph.conf", configuration["data"]["ceph.conf"])
                _write(_DIRECTORY / "keyring", base64.b64decode(keyring["data"]["keyring"]).decode())
        time.sleep(_SECONDS)


def _write(path: Path, text: str) -> None:
    """Only where it is another; whole, as commands may read it at any moment."""
    if not path.exists() or path.read_text() != text:
        temporary = path.with_suffix(".new")
        temporary.write_text(text)
        temporary.chmod(0o600)
        temporary.replace(path)


if __name__ == "__main__":
    main()
