"""Which of a run's vault passwords the modules get."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ansible_collections.trinode.platform.plugins.lookup.vault_password import password

SECRETS = [("default", SimpleNamespace(bytes=b"first")), ("lab", SimpleNamespace(bytes="zweites ü".encode()))]


@pytest.mark.parametrize(
    ("identities", "wanted"),
    [([], "first"), (["lab"], "zweites ü"), (["missing", "lab"], "zweites ü"), (["missing"], "")],
)
def test_the_password_is_chosen_by_identity(identities: list[str], wanted: str) -> None:
    assert password(SECRETS, identities) == wanted


def test_no_secrets_are_no_password() -> None:
    assert password([], []) == ""
    assert password(None, []) == ""
