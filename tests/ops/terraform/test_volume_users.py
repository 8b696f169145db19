"""What mounts a volume is replaced with it."""

from __future__ import annotations

from typing import Any

import pytest

from ops.terraform.changes import Action, ResourceChange
from ops.terraform.volume_users import volume_users

POD = {"spec": [{"volume": [{"persistent_volume_claim": [{"claim_name": "models"}]}]}]}


def change(kind: str, action: Action, before: dict[str, Any] | None = None) -> ResourceChange:
    return ResourceChange(
        address=f"{kind}.a",
        type=f"kubernetes_{kind}_v1",
        namespace="llama-cpp",
        name="a",
        action=action,
        before=before or {},
        after={},
        replace_paths=(),
    )


def users(claim: Action, volume: Action = "no-op") -> tuple[str, ...]:
    return volume_users(
        [
            change("persistent_volume", volume),
            change("persistent_volume_claim", claim),
            change("deployment", "update", {"spec": [{"template": [POD]}]}),
            change("job", "no-op", {"spec": [{"template": [POD]}]}),
            change("cron_job", "replace", {"spec": [{"job_template": [POD]}]}),
            change("service", "update", {"spec": [{"volume": [{"persistent_volume_claim": []}]}]}),
        ]
    )


@pytest.mark.parametrize(
    ("claim", "volume", "expected"),
    [
        ("replace", "replace", ("deployment.a", "job.a")),
        ("no-op", "replace", ("persistent_volume_claim.a", "deployment.a", "job.a")),
        ("replace", "no-op", ("persistent_volume.a", "deployment.a", "job.a")),
        ("update", "update", ()),
        ("create", "create", ()),
    ],
)
def test_what_mounts_a_replaced_volume_is_replaced(
    claim: Action, volume: Action, expected: tuple[str, ...]
) -> None:
    assert users(claim, volume) == expected
