# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small client for a Kubernetes API server: the official package's configuration and authentication, raw JSON on its keep-alive pool."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import ConnectionFailed, DeadlineExceeded, InputError, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube import api_errors
from ansible_collections.trinode.platform.plugins.module_utils.kube.servers import HEALTH_SECONDS, Servers, urls
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress

if TYPE_CHECKING:
    from kubernetes.client import Configuration
    from urllib3 import BaseHTTPResponse, PoolManager
    from websocket import WebSocket, WebSocketBadStatusException

CONNECT_SECONDS = 5.0
REQUEST_SECONDS = 60.0
# A watch says nothing while nothing happens, and a dead connection says nothing either: after this long, ask again from where we were.
SILENCE_SECONDS = 20.0
# Until a WebSocket is open: the API server asks the kubelet first.
STREAM_SECONDS = 15.0
CONNECTIONS = 32

Json = dict[str, Any]


class MissingKubeconfigError(InputError):
    """The kubeconfig is not there: the cluster does not exist yet, or was made elsewhere."""


class Client:
    """A cluster's API server, or several in turn. Safe to use from several threads.

    Every method raises ApiError, ApiUnreachable, ConnectionFailed or DeadlineExceeded. What a server did not answer is asked of another at once, where
    there are several and asking twice does no harm. ``server`` names the cluster in messages.
    """

    def __init__(self, configuration: Configuration, pool: PoolManager, deadline: Deadline, servers: Sequence[str] = ()) -> None:
        self._configuration = configuration
        self._pool = pool
        self.deadline = deadline
        self.server: str = configuration.host.rstrip("/")
        self._servers = Servers(servers or (self.server,))

    def keep_healthy(self) -> None:
        """Where there are several servers: leave out those that do not say that they are ready."""
        for server in self._servers.keep_healthy(self._healthy):
            progress(f"the API server {server} is not ready and left out")

    def _healthy(self, server: str) -> bool:
        headers = {"Accept": "*/*", **self._authentication()}
        try:
            answer = self._pool.request("GET", f"{server}/readyz", headers=headers, timeout=HEALTH_SECONDS, retries=False, redirect=False)
        except Exception as error:  # noqa: BLE001  whatever the reason, it does not answer us
            progress(f"no answer from the API server {server}: {_innermost(error)}")
            return False
        # Who may not ask for the health has been answered all the same.
        return answer.status in (200, 401, 403)

    def get(self, path: str, params: Mapping[str, Any] | None = None, *, deadline: Deadline | None = None) -> Json:
        """The object at ``path`` ("/api/v1/nodes/m1"), decoded."""
        return self.request("GET", path, params=params, deadline=deadline)

    def list(self, path: str, params: Mapping[str, Any] | None = None, *, deadline: Deadline | None = None) -> tuple[list[Json], str]:
        """The items of a collection, and the resourceVersion to watch it from. Items of a list lack apiVersion and kind; they are filled in."""
        answer = self.get(path, params, deadline=deadline)
        kind = str(answer.get("kind", "")).removesuffix("List")
        items = [{"apiVersion": answer.get("apiVersion"), "kind": kind, **item} for item in answer.get("items") or []]
        return items, str((answer.get("metadata") or {}).get("resourceVersion", ""))

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        params: Mapping[str, Any] | None = None,
        deadline: Deadline | None = None,
        accept: str = "application/json",
        affinity: str = "",
    ) -> Json:
        """Send one request and return the decoded answer. ``body`` is sent as JSON, bytes as they are. One try: retrying is the caller's decision.

        Of several servers, all requests with the same ``affinity`` go to the same one as long as it answers.
        """
        headers = {"Accept": accept, **({"Content-Type": content_type} if body is not None else {})}
        response = self._send(method, path, params, deadline or self.deadline, headers=headers, body=body, affinity=affinity)
        return self._decode(response.status, response.data, response.headers, f"{method} {path}")

    def exchange(
        self,
        path: str,
        params: Sequence[tuple[str, str]] = (),
        *,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        deadline: Deadline | None = None,
    ) -> tuple[int, bytes]:
        """Ask what the API server passes on to another server: that one's status and body, whatever they are."""
        response = self._send(method, path, params, deadline or self.deadline, headers={"Accept": "*/*", **(headers or {})}, body=body)
        return response.status, response.data

    def watch(self, path: str, resource_version: str, deadline: Deadline | None = None, params: Mapping[str, Any] | None = None) -> Iterator[tuple[str, Json]]:
        """Events (type, object) of a collection since ``resource_version``, until the server or the deadline ends the stream, or it has been silent.

        Event types: ADDED, MODIFIED, DELETED, BOOKMARK. Raises ApiError with ``expired`` when the version is no longer kept.
        """
        with self.open_watch(path, resource_version, deadline, params) as stream:
            yield from stream

    def open_watch(self, path: str, resource_version: str, deadline: Deadline | None = None, params: Mapping[str, Any] | None = None) -> WatchStream:
        """As ``watch``, as a stream that another thread can close."""
        limit = deadline or self.deadline
        query = {
            **(params or {}),
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": max(1, int(limit.remaining)),
        }
        response = self._send("GET", path, query, limit, headers={"Accept": "application/json"}, stream=True)
        if response.status != 200:
            self._decode(response.status, response.read(), response.headers, f"WATCH {path}")
        return WatchStream(response, path, self.server)

    def open_stream(self, path: str, params: Sequence[tuple[str, str]], protocol: str, deadline: Deadline | None = None) -> WebSocket:
        """A WebSocket to ``path`` that speaks ``protocol``, by the first server that takes it. Only what never began is tried again."""
        import websocket  # noqa: PLC0415

        limit = deadline or self.deadline
        tried: list[str] = []
        while True:
            limit.check(f"{path} was not answered", where=self.server)
            server = self._servers.pick(tried)
            tried.append(server)
            try:
                return websocket.create_connection(
                    f"ws{server.removeprefix('http')}{quote(path)}?{urlencode(params)}",
                    timeout=min(STREAM_SECONDS, limit.remaining),
                    subprotocols=[protocol],
                    header={"User-Agent": "trinode.platform", **self._authentication()},
                    **self._stream_options(server),
                )
            except websocket.WebSocketBadStatusException as refusal:
                raise _refusal(refusal, path, server) from refusal
            except (websocket.WebSocketException, OSError) as error:
                self._servers.failed(server)
                failure = self._failure(error, path, server, limit)
                if len(tried) >= len(self._servers) or isinstance(failure, DeadlineExceeded):
                    raise failure from error

    def _stream_options(self, server: str) -> dict[str, Any]:
        """The trust and the proxy of all other requests, for a WebSocket."""
        pool = self._pool
        tls = {"context": pool.connection_pool_kw["ssl_context"], "server_hostname": pool.connection_pool_kw.get("server_hostname")}
        proxy = getattr(pool, "proxy", None)
        if proxy is None:
            # Without a list, the environment would be asked for a proxy.
            return {"sslopt": tls, "http_no_proxy": [urlsplit(server).hostname or ""]}
        return {"sslopt": tls, "http_proxy_host": proxy.host, "http_proxy_port": proxy.port, "http_no_proxy": []}

    def close(self) -> None:
        self._pool.clear()

    def _send(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | Sequence[tuple[str, str]] | None,
        deadline: Deadline,
        *,
        headers: Mapping[str, str],
        body: Any = None,
        stream: bool = False,
        affinity: str = "",
    ) -> BaseHTTPResponse:
        import urllib3  # noqa: PLC0415  comes with the package kubernetes, whose absence connect() explains

        silence = SILENCE_SECONDS if stream else REQUEST_SECONDS
        options: dict[str, Any] = {
            "body": body if body is None or isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode(),
            "headers": {"User-Agent": "trinode.platform", **headers, **self._authentication()},
            "preload_content": not stream,
        }
        # A POST that broke off may have been carried out.
        tries = len(self._servers) if method in ("GET", "PATCH", "DELETE") else 1
        tried: list[str] = []
        while True:
            deadline.check(f"{method} {path} was not answered", where=self.server)
            server = self._servers.pick(tried, affinity)
            tried.append(server)
            url = f"{server}{quote(path, safe='/:')}{'?' + urlencode(params) if params else ''}"
            timeout = urllib3.Timeout(connect=min(CONNECT_SECONDS, deadline.remaining), read=min(silence, deadline.remaining))
            try:
                response = self._pool.request(method, url, retries=False, redirect=False, timeout=timeout, **options)
                # Each API server learns of a definition by itself: one that does not serve a kind yet answers without a Status object.
                if stream or response.status != 404 or b"page not found" not in response.data or len(tried) >= tries:
                    return response
            except urllib3.exceptions.HTTPError as error:
                self._servers.failed(server)
                failure = self._failure(error, f"{method} {path}", server, deadline)
                if len(tried) >= tries or isinstance(failure, DeadlineExceeded):
                    raise failure from error

    def _failure(self, error: BaseException, request: str, server: str, deadline: Deadline) -> PlatformError:
        """What a request without an answer means: another server's certificate is for good, all else may pass."""
        reason = _innermost(error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            return ConnectionFailed(
                f"the API server's certificate is not accepted: {reason.verify_message}",
                where=server,
                hint="The address belongs to another cluster, or the kubeconfig is an old one: renew it with playbooks/cluster.yml.",
            )
        if deadline.expired:
            return DeadlineExceeded(f"{request} was not answered within {deadline.seconds:.0f} s", where=server)
        text = str(reason).rsplit(">: ", 1)[-1].removeprefix("Failed to establish a new connection: ")
        return api_errors.ApiUnreachable(f"no answer to {request}: {text}", where=server, hint="Is the API server up, and the address right?")

    def _authentication(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        # auth_settings() calls the hook that runs an exec plugin again, or reads the token file again, when the token has expired.
        for setting in self._configuration.auth_settings().values():
            if setting["in"] == "header" and setting["value"]:
                headers[setting["key"]] = setting["value"]
        return headers

    def _decode(self, status: int, data: bytes, headers: Mapping[str, str], request: str) -> Json:
        try:
            body = json.loads(data) if data else {}
        except ValueError:
            body = data.decode("utf-8", "replace")
        if status >= 300 or not isinstance(body, dict):
            retry_after = headers.get("Retry-After", "")
            raise api_errors.from_status(status, body, request=request, where=self.server, retry_after=float(retry_after) if retry_after.isdigit() else 0.0)
        return body


class WatchStream:
    """The events of one watch. ``close`` may be called from another thread: the iteration then ends."""

    def __init__(self, response: BaseHTTPResponse, path: str, server: str) -> None:
        self._response = response
        self._path = path
        self._server = server

    def __enter__(self) -> WatchStream:
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()

    def __iter__(self) -> Iterator[tuple[str, Json]]:
        import urllib3  # noqa: PLC0415

        pending = b""
        try:
            for chunk in self._response.stream(65536, decode_content=True):
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    if line:
                        yield self._event(json.loads(line))
        except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError):
            # Silence, a broken connection or close(): the caller goes on from the last version it saw.
            return

    def close(self) -> None:
        shutdown = getattr(self._response, "shutdown", None)
        try:
            if shutdown is not None:
                shutdown()
        except (OSError, ValueError, RuntimeError):
            pass  # it has ended by itself

    def _event(self, event: Json) -> tuple[str, Json]:
        kind, item = str(event.get("type")), event.get("object") or {}
        if kind == "ERROR":
            raise api_errors.from_status(int(item.get("code") or 500), item, request=f"WATCH {self._path}", where=self._server)
        return kind, item


def connect(kubeconfig: str, context: str | None = None, deadline: Deadline | None = None, servers: Sequence[str] = ()) -> Client:
    """A client for the cluster that a kubeconfig names: certificates, tokens, exec plugins and proxies as the official package does them.

    ``deadline`` is the default limit of every call. An empty ``kubeconfig`` means the service account of the pod we run in.
    ``servers`` are the cluster's API servers (addresses or URLs) to spread requests over, in place of the kubeconfig's one; its trust holds for them too.
    They are asked for their health; without them no request is sent yet. Raises MissingKubeconfigError or InputError.
    """
    try:
        # Half a second: only for tasks that talk to an API server.
        from kubernetes.client import Configuration, rest  # noqa: PLC0415
        from kubernetes.config import ConfigException, incluster_config, kube_config  # noqa: PLC0415
    except ImportError as error:
        raise InputError(
            f"the Python package kubernetes is missing ({error})", hint="Install it into Ansible's environment: pip install kubernetes."
        ) from error
    configuration = Configuration()
    configuration.connection_pool_maxsize = CONNECTIONS
    path = os.path.expanduser(kubeconfig)
    try:
        if not path:
            incluster_config.load_incluster_config(configuration)
        else:
            if not os.path.exists(path):
                raise MissingKubeconfigError(
                    "the kubeconfig does not exist", where=path, hint="Create the cluster with playbooks/cluster.yml, or name another file."
                )
            kube_config.load_kube_config(config_file=path, context=context or None, client_configuration=configuration, persist_config=False)
        pool = rest.RESTClientObject(configuration).pool_manager
        _hold_certificates(pool, configuration)
    except (ConfigException, OSError, ValueError) as error:
        raise InputError(f"the kubeconfig cannot be used: {error}", where=path or "in-cluster configuration") from error
    finally:
        # The package writes inline keys to temporary files and removes them at exit, which a worker of Ansible does not live to see.
        kube_config._cleanup_temp_files()
    client = Client(configuration, pool, deadline or Deadline(REQUEST_SECONDS), urls(servers))
    client.keep_healthy()
    return client


def _hold_certificates(pool: PoolManager, configuration: Configuration) -> None:
    """Read the certificates once, into one TLS context for all connections, so that no file is needed any more."""
    from urllib3.util.ssl_ import create_urllib3_context  # noqa: PLC0415

    tls = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if configuration.verify_ssl else ssl.CERT_NONE)
    # Python 3.13 asks for extensions that certificate authorities of Kubernetes distributions often lack; Kubernetes' own clients do not.
    tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if configuration.verify_ssl:
        if configuration.ssl_ca_cert:
            tls.load_verify_locations(configuration.ssl_ca_cert)
        else:
            tls.load_default_certs()
    if configuration.cert_file:
        tls.load_cert_chain(configuration.cert_file, configuration.key_file)
    for key in ("cert_file", "key_file", "ca_certs", "ca_cert_data"):
        pool.connection_pool_kw.pop(key, None)
    pool.connection_pool_kw["ssl_context"] = tls


def _refusal(refusal: WebSocketBadStatusException, path: str, server: str) -> api_errors.ApiError:
    """What an API server says that opens no WebSocket."""
    try:
        body: Any = json.loads(refusal.resp_body or b"")
    except ValueError:
        body = (refusal.resp_body or b"").decode("utf-8", "replace")
    return api_errors.from_status(refusal.status_code, body, request=path, where=server)


def _innermost(error: BaseException) -> BaseException:
    """The error at the bottom, without urllib3's wrapping."""
    for inner in (getattr(error, "reason", None), *error.args, error.__cause__):
        if isinstance(inner, BaseException):
            return _innermost(inner)
    return error
