# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection to a BMC that is gentle: one call at a time with a pause before each, retried only where that does no harm, all under one deadline.

Some BMCs freeze under calls that come too fast, and lock an account after a few wrong passwords; so a password is sent to the login once.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, InputError
from ansible_collections.trinode.platform.plugins.module_utils.redfish.failures import explain, normalized_fingerprint

if TYPE_CHECKING:
    from sushy.main import Sushy

# The session is given back even when no time is left.
LOGOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Access:
    """How to reach a BMC. ``certificate_fingerprint`` names its certificate, in place of an authority. ``pause``: seconds between two calls."""

    url: str
    username: str
    password: str
    ca_file: str = ""
    certificate_fingerprint: str = ""
    validate_certs: bool = True
    pause: float = 0.5


def normalized_url(text: str) -> str:
    """The BMC's URL, from a URL, a name or an address. Raises InputError for what is none."""
    url = text if "://" in text else f"https://{f'[{text}]' if text.count(':') > 1 and not text.startswith('[') else text}"
    scheme, _separator, rest = url.partition("://")
    if scheme not in ("https", "http") or not rest.strip("/") or "@" in rest or any(sign.isspace() for sign in rest):
        raise InputError(
            f"{text!r} is not the address of a BMC", where="address", hint="Write a name, an address or https://NAME:PORT, without user and password."
        )
    return url.rstrip("/")


@dataclass
class Connection:
    """The BMC's service root, and the transport below it."""

    root: Sushy
    adapter: Any

    @contextlib.contextmanager
    def patience(self, seconds: float) -> Iterator[None]:
        """No call inside takes longer than this."""
        before, self.adapter.read_seconds = self.adapter.read_seconds, seconds
        try:
            yield
        finally:
            self.adapter.read_seconds = before


@contextlib.contextmanager
def connected(access: Access, deadline: Deadline) -> Iterator[Connection]:
    """Logged in to the BMC; logged out when the block is left, since a BMC has few sessions. Raises what explain() makes of a failure."""
    sushy = _library()
    _silence()
    connector, adapter = _connector(access, deadline)
    try:
        try:
            root = sushy.Sushy(access.url, auth=sushy.auth.SessionAuth(access.username, access.password), connector=connector)
        except (sushy.exceptions.AccessError, sushy.exceptions.ConnectionError):
            raise
        except sushy.exceptions.SushyError:
            # It has no sessions; then user and password go with each call.
            root = sushy.Sushy(access.url, auth=sushy.auth.BasicAuth(access.username, access.password), connector=connector)
    except Exception as error:
        connector.close()
        raise explain(error, access.url, "let us in") from error
    try:
        yield Connection(root, adapter)
    finally:
        adapter.deadline = Deadline(LOGOUT_SECONDS)
        with contextlib.suppress(Exception):
            root._auth.close()
        root._auth = None
        connector.close()


def _library() -> Any:
    try:
        import sushy  # noqa: PLC0415  only who boots over a BMC needs it
        import sushy.auth  # noqa: PLC0415
        import sushy.exceptions  # noqa: PLC0415
    except ImportError as error:
        raise CommandError("the Python package sushy is missing", hint="Install it into the Python that runs Ansible: pip install 'sushy>=5.2'.") from error
    return sushy


def _silence() -> None:
    """sushy logs each failure, and what it sends with user names; our exceptions say what there is to say."""
    logger = logging.getLogger("sushy")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def _connector(access: Access, deadline: Deadline) -> tuple[Any, Any]:
    from sushy.connector import Connector  # noqa: PLC0415

    from ansible_collections.trinode.platform.plugins.module_utils.redfish.gentle import Gentle  # noqa: PLC0415

    if access.ca_file and not os.path.isfile(access.ca_file):
        raise InputError(f"there is no file {access.ca_file}", where="ca_file", hint="Name a file with the authority's certificate in PEM.")
    verify: bool | str = access.ca_file or True
    if access.certificate_fingerprint or not access.validate_certs:
        verify = False
    # The adapter below tries again, and knows which calls bear that.
    connector = Connector(access.url, verify=verify, server_side_retries=1, server_side_retries_delay=0)
    session = connector._session
    # A proxy or a .netrc of this user is for other things than a BMC.
    session.trust_env = False
    fingerprint = normalized_fingerprint(access.certificate_fingerprint) if access.certificate_fingerprint else ""
    adapter = Gentle(access.url, fingerprint=fingerprint, pause=access.pause, deadline=deadline)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return connector, adapter
