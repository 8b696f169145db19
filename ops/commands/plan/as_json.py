"""A plan for a program: every number with its unit in its name, and no secret."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from ops.commands.plan.comparison import Comparison, Refreshed
from ops.commands.plan.objects import ObjectChange
from ops.commands.plan.sentence import sentence
from ops.commands.plan.values import is_kept
from ops.report.document import Line, plain
from ops.report.redaction import MARK, redact_all
from ops.terraform.changes import VERBS
from ops.terraform.plan_document import terraform_document
from ops.terraform.synth import STACK

Json = dict[str, Any]


def as_json(found: Comparison) -> Json:
    """Write a comparison for a program."""
    actions = Counter(each.action for each in found.objects)
    compared: Json = {
        "sentence": _text(sentence(found)),
        "counts": {
            VERBS[action]: actions[action] for action in ("create", "update", "replace", "delete")
        },
        "deploy_refuses": [each.address for each in found.named_only],
    }
    real = None if found.refreshed is None else found.refreshed.verdict
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
        "changes": found.differs,
        "problem": found.problem,
        "base": {
            "commit": found.base.commit,
            "name": found.base.name,
            "problem": found.base_problem,
        },
        "pod_restarts": any(each.restarts for each in found.objects),
        "terraform_refuses": bool(found.refused),
        "objects": [_object(each) for each in found.objects],
        "settings": [_field(each.parts, each.path, each.before, each.after)
                     for each in found.settings],
        "no_longer_protected": list(found.unprotected),
        "models": None if found.models is None else [
            {
                "id": each.id,
                "action": each.action,
                "was": each.was,
                "size_bytes": each.size_bytes,
                "fields": [
                    _field(field.name.split("."), field.name, field.before, field.after)
                    for field in each.fields
                ],
            }
            for each in found.models
        ],
        "files": None if found.files is None else {
            "download": [asdict(each) for each in found.files.download],
            "free": [asdict(each) for each in found.files.free],
            "download_bytes": found.files.download_bytes,
            "download_s": round(found.files.download_bytes / (found.rate_mb_s * 1e6), 1),
            "free_bytes": found.files.free_bytes,
            "rate_mb_s": found.rate_mb_s,
        },
        "front_end_diff": list(found.front_end),
        "budget": None if found.budget is None
        else asdict(found.budget) | {"spare_mib": found.budget.spare_mib},
        "cluster": None if found.refreshed is None else _cluster(found.refreshed),
    }  # fmt: skip
    redacted: Json = redact_all(shown)
    return redacted


def _cluster(refreshed: Refreshed) -> Json:
    verdict = refreshed.verdict
    return {
        "is_whole": verdict.is_whole,
        "refused": [
            {"address": each.change.address, "reason": each.reason} for each in verdict.refused
        ],
        "changes": [{"address": each.address, "action": each.action} for each in verdict.planned],
        "disagreements": [asdict(each) for each in refreshed.disagreements],
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
            _field(each.parts, each.kubernetes_path, each.before, each.after)
            for each in change.fields
        ],
        "forced_by": [each.kubernetes_path for each in change.forced_by],
        "restarts_pod_by": [each.kubernetes_path for each in change.restarts],
    }


def _field(parts: tuple[str, ...] | list[str], path: str, before: Any, after: Any) -> Json:
    kept = is_kept(parts)
    values = {"before": before, "after": after}
    return {"path": path} | {
        name: MARK if kept and isinstance(value, str) else value for name, value in values.items()
    }


def _text(line: Line) -> str:
    return "".join(map(plain, line))
