"""Edits of a cluster by hand, and what a drift run says of them."""

from __future__ import annotations

from typing import Any

from ops.cluster.api import Document, KubeApi
from ops.commands.drift.declared import Declared
from ops.commands.drift.run import Ask, Drift, drift


def patch(api: KubeApi, path: str, body: Document) -> None:
    status, document = api.request("PATCH", f"{path}?fieldManager=kubectl-edit", body)
    assert status == 200, document


def ask(declared: Declared, *sources: Any, pool: str | None = None) -> Drift:
    asked = Ask(sources=sources or ("terraform", "cluster"), pool=pool)
    result = drift(declared, asked, say=lambda line: None)
    assert result.unreachable == ()
    return result


def lines(result: Drift) -> list[str]:
    return [difference.line for difference in result.differences]
