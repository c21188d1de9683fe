"""Answers the kubelet's probes of a program that serves nothing else."""

from __future__ import annotations

import http.server
import threading


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing of interest."""


def serve() -> None:
    server = http.server.ThreadingHTTPServer(("", 8080), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
