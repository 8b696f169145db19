"""An environment without proxies, tokens and certificate authorities of this machine."""

from __future__ import annotations

import pytest

NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file", "ssl_cert_dir")


def forget_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*NAMES, *map(str.upper, NAMES), "HF_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
