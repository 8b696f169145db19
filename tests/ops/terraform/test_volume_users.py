"""What mounts a volume is replaced with it, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from ops.terraform.changes import Action, ResourceChange
from ops.terraform.volume_users import volume_users


def change(
    kind: str, name: str, action: Action, before: dict[str, Any] | None = None
) -> ResourceChange:
    return ResourceChange(
        address=f"{kind}.{name}",
        type=f"kubernetes_{kind}_v1",
        namespace="llama-cpp",
        name=name,
        action=action,
        before=before or {},
        after={},
        replace_paths=(),
    )


def pod(*claims: str) -> dict[str, Any]:
    volumes = [{"persistent_volume_claim": [{"claim_name": name}]} for name in claims]
    return {"spec": [{"volume": [*volumes, {"persistent_volume_claim": []}]}]}


def users(claim: Action, volume: Action = "no-op", cache: Action = "no-op") -> tuple[str, ...]:
    return volume_users(
        [
            change("persistent_volume", "llama-cpp-models", volume),
            change("persistent_volume", "llama-cpp-cuda-cache", cache),
            change(
                "persistent_volume_claim",
                "models",
                claim,
                {"spec": [{"volume_name": "llama-cpp-models"}]},
            ),
            change(
                "persistent_volume_claim",
                "cuda-cache",
                cache,
                {"spec": [{"volume_name": "llama-cpp-cuda-cache"}]},
            ),
            change(
                "deployment",
                "llama-swap",
                "update",
                {"spec": [{"template": [pod("models", "cuda-cache")]}]},
            ),
            change("job", "download", "no-op", {"spec": [{"template": [pod("models")]}]}),
            change("cron_job", "upkeep", "replace", {"spec": [{"job_template": [pod("models")]}]}),
            change("service", "llama-swap", "update", {"spec": [{"volume": []}]}),
        ]
    )


OF_MODELS = ("deployment.llama-swap", "job.download")


@pytest.mark.parametrize(
    ("claim", "volume", "expected"),
    [
        ("replace", "replace", OF_MODELS),
        ("no-op", "replace", ("persistent_volume_claim.models", *OF_MODELS)),
        ("replace", "no-op", ("persistent_volume.llama-cpp-models", *OF_MODELS)),
        ("update", "update", ()),
        ("create", "create", ()),
    ],
)
def test_what_mounts_a_replaced_volume_is_replaced(
    claim: Action, volume: Action, expected: tuple[str, ...]
) -> None:
    assert users(claim, volume) == expected


def test_the_models_stay_when_the_cache_is_replaced() -> None:
    assert users("no-op", cache="replace") == ("deployment.llama-swap",)
