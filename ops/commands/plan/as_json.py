"""Write a plan as JSON; every number has its unit in its name, and secrets are redacted."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, replace
from typing import Any

from ops.commands.plan.budget import Budget
from ops.commands.plan.comparison import Comparison, Refreshed
from ops.commands.plan.models import FileChange
from ops.commands.plan.objects import ObjectChange
from ops.commands.plan.sentence import sentence
from ops.report.document import Line, plain
from ops.report.redaction import MARK, redact_all
from ops.terraform.changes import VERBS
from ops.terraform.field_values import is_kept
from ops.terraform.plan_document import terraform_document
from ops.terraform.synth import STACK

Json = dict[str, Any]


def as_json(comparison: Comparison) -> Json:
    """Write a comparison as JSON."""
    actions = Counter(change.action for change in comparison.objects)
    compared: Json = {
        "sentence": _text(sentence(comparison)),
        "counts": {
            VERBS[action]: actions[action] for action in ("create", "update", "replace", "delete")
        },
        "deploy_refuses": [change.address for change in comparison.named_only],
    }
    real = None if comparison.refreshed is None else comparison.refreshed.verdict
    headline = (
        compared
        if real is None
        else {
            "sentence": _text(terraform_document(real).sentence),
            "counts": real.counts,
        }
    )
    shown: Json = {
        "stack": STACK,
        **headline,
        "comparison": compared,
        "changes": comparison.differs,
        "problem": comparison.problem,
        "base": {
            "commit": comparison.base.commit,
            "name": comparison.base.name,
            "problem": comparison.base_problem,
        },
        "pod_restarts": any(
            change.restarts for change in comparison.happening if change.is_endpoint
        ),
        "terraform_refuses": bool(comparison.refused),
        "objects": [_object(change) for change in comparison.objects],
        "settings": [_field(field.parts, field.path, field.before, field.after)
                     for field in comparison.settings],
        "no_longer_protected": list(comparison.no_longer_guarded),
        "no_longer_set": list(comparison.no_longer_set),
        "models": None if comparison.models is None else [
            {
                "id": model.id,
                "action": model.action,
                "was": model.was,
                "size_bytes": model.size_bytes,
                "fields": [
                    _field(field.name.split("."), field.name, field.before, field.after)
                    for field in model.fields
                ],
            }
            for model in comparison.models
        ],
        "files": None if comparison.files is None else {
            "download": [_file(file) for file in comparison.files.download],
            "free": [_file(file) for file in comparison.files.free],
            "download_bytes": comparison.files.download_bytes,
            "download_s": round(comparison.files.download_bytes / (comparison.rate_mb_s * 1e6), 1),
            "free_bytes": comparison.files.free_bytes,
            "rate_mb_s": comparison.rate_mb_s,
        },
        "consumers": None if comparison.consumers is None else [
            {
                "name": consumer.name,
                "action": consumer.action,
                "fields": [
                    _field([field.name], field.name, field.before, field.after)
                    for field in consumer.fields
                ],
            }
            for consumer in comparison.consumers
        ],
        "front_end_diff": list(comparison.front_end),
        "budget": _budget(comparison.budget),
        "cluster": None if comparison.refreshed is None else _cluster(comparison.refreshed),
    }  # fmt: skip
    if comparison.pools:
        shown["pools"] = [
            asdict(replace(pool, budget=None)) | {"budget": _budget(pool.budget)}
            for pool in comparison.pools
        ]
        shown["moves"] = [asdict(move) for move in comparison.moves]
    redacted: Json = redact_all(shown)
    return redacted


def _budget(budget: Budget | None) -> Json | None:
    return None if budget is None else asdict(budget) | {"spare_mib": budget.spare_mib}


def _file(file: FileChange) -> Json:
    """Write a file; where there is one volume, without its name."""
    return {name: value for name, value in asdict(file).items() if name != "volume" or value}


def _cluster(refreshed: Refreshed) -> Json:
    verdict = refreshed.verdict
    return {
        "is_whole": verdict.is_whole,
        "nothing_deployed": refreshed.nothing_deployed,
        "note": verdict.note,
        "refused": [
            {"address": refused.change.address, "reason": refused.reason}
            for refused in verdict.refused
        ],
        "changes": [
            {"address": change.address, "action": change.action} for change in verdict.planned
        ],
        "disagreements": [asdict(disagreement) for disagreement in refreshed.disagreements],
    }


def _object(change: ObjectChange) -> Json:
    return {
        "address": change.address,
        "kind": change.kind,
        "namespace": change.namespace,
        "name": change.name,
        "action": change.action,
        "terraform_refuses": change.refused,
        "fields": [
            _field(field.parts, field.kubernetes_path, field.before, field.after)
            for field in change.fields
        ],
        "forced_by": [field.kubernetes_path for field in change.forced_by],
        "restarts_pod_by": [field.kubernetes_path for field in change.restarts],
    }


def _field(parts: tuple[str, ...] | list[str], path: str, before: Any, after: Any) -> Json:
    kept = is_kept(parts)
    values = {"before": before, "after": after}
    return {"path": path} | {
        name: MARK if kept and isinstance(value, str) else value for name, value in values.items()
    }


def _text(line: Line) -> str:
    return "".join(map(plain, line))
