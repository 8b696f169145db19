"""The alerts, as Prometheus reads them: they judge by answers, never by pods.

In the outage that taught them another program held the card's memory: every pod was Running, every
probe green, and no request was answered for hours.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any, Literal

import yaml

from llama_swap_config.fit.card import Machine
from llama_swap_config.fit.residency import cards_of, mib_by_card
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.monitoring.watched_pool import WatchedPool, of_namespace

_MIB = 1024 * 1024
_NO_POD = "waits|warming|stopped"
"""States of an endpoint whose front end is absent as declared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alerting rule."""

    name: str
    expr: str
    hold: str
    """How long the expression holds before the alert fires, such as `10m`."""
    keep: str | None = None
    """How long the alert goes on firing afterwards (default: not)."""
    severity: Literal["critical", "warning"]
    summary: str
    description: str
    """One sentence with Prometheus' templates."""
    pool: str | None = None
    """The pool that it watches (default: there is only one)."""

    @property
    def runbook(self) -> str:
        """Its page in this repository."""
        words = "".join(f"-{c.lower()}" if c.isupper() else c for c in self.name)
        return f"docs/runbooks/{words.removeprefix('-llama-swap-')}.md"


def alerts(
    models: tuple[LockedModel, ...],
    machine: Machine,
    *,
    cards: int = 1,
    pool: WatchedPool | None = None,
) -> tuple[Alert, ...]:
    """Return the alerts of a pool.

    Args:
        models: Its locked models.
        machine: Its cards and its engine, for the smallest model's MiB.
        cards: How many it has (default: one).
        pool: Which of several it is (default: there is only one).
    """
    failed = 'llama_swap_answers_total{status=~"5..|aborted|incomplete"}'
    declared = (
        Alert(
            name="LlamaSwapNoAnswers",
            # One request that its client gave up is no outage.
            expr=(
                f"sum(increase({failed}[5m])) > 2 unless on() "
                "time() - llama_swap_last_answer_timestamp_seconds < 120"
            ),
            hold="1m",
            severity="critical",
            summary="Requests come, and none is answered",
            description=(
                "{{ $value | humanize }} requests failed in five minutes, and none was answered "
                "in the last two."
            ),
        ),
        Alert(
            name="LlamaSwapLoadsFail",
            expr="sum by (model, class) (increase(llama_swap_failed_loads_total[10m])) > 0",
            hold="0m",
            severity="warning",
            summary="A model could not be loaded",
            description="{{ $labels.model }} could not be loaded: {{ $labels.class }}.",
        ),
        _card_full(models, machine, has_several_cards=cards > 1),
        Alert(
            name="LlamaSwapEndpointFailed",
            expr='llama_swap_endpoint_state{state="failed"} == 1',
            hold="5m",
            severity="critical",
            summary="The endpoint's pod cannot start",
            description="Its pod fails; waiting for the card is not meant.",
        ),
        Alert(
            name="LlamaSwapTelemetryGone",
            expr=(
                "(llama_swap_up == 0 unless on() "
                f'max(llama_swap_endpoint_state{{state=~"{_NO_POD}"}}) == 1) '
                "or absent(llama_swap_up)"
            ),
            hold="10m",
            severity="warning",
            summary="Nobody says whether the endpoint answers",
            description="The exporter is gone, or the front end does not answer it.",
        ),
        Alert(
            name="LlamaSwapWindowOverdue",
            expr=(
                "llama_swap_window_open == 1 "
                "and llama_swap_window_deadline_timestamp_seconds < time() - 300"
            ),
            hold="0m",
            severity="critical",
            summary="A GPU window is past its deadline",
            description="The window should have given the card back; its tenants still wait.",
        ),
        Alert(
            name="LlamaSwapTenantWaits",
            expr=(
                "llama_swap_tenant_replicas > 0 and llama_swap_tenant_ready_replicas == 0 "
                'and on() llama_swap_endpoint_state{state="serves"} == 1 '
                "unless on() llama_swap_window_open == 1"
            ),
            hold="10m",
            severity="critical",
            summary="The endpoint keeps the card from its owner",
            description="{{ $labels.tenant }} waits while the endpoint serves outside a window.",
        ),
        Alert(
            name="LlamaSwapDownloadFailed",
            expr='llama_swap_download_state{state="failed"} == 1',
            hold="5m",
            severity="warning",
            summary="The download of the models' files failed",
            description="Models without complete files are not served.",
        ),
        Alert(
            name="LlamaSwapVerificationFailed",
            expr='llama_swap_verification_state{state="failed"} == 1',
            hold="5m",
            severity="warning",
            summary="The volume's files are not what the lock says",
            description="The last verification of the volume failed.",
        ),
    )
    if pool is None:
        return declared
    return tuple(
        replace(alert, expr=of_namespace(alert.expr, f'="{pool.namespace}"'), pool=pool.name)
        for alert in declared
    )


def _card_full(
    models: tuple[LockedModel, ...], machine: Machine, *, has_several_cards: bool
) -> Alert:
    on_cards, usable_mib = mib_by_card(models, machine), machine.card.usable_mib
    limits, needs = [], []
    for card in cards_of(models):
        on_it = {model_id: mib[card] for model_id, mib in on_cards.items() if card in mib}
        smallest = min(on_it, key=on_it.__getitem__)
        mib = on_it[smallest]
        which = f'{{card="{card}"}}' if has_several_cards else ""
        of_card = f" of card {card}" if has_several_cards else ""
        limits.append(f"llama_swap_vram_others_bytes{which} > {int(usable_mib - mib) * _MIB}")
        needs.append(
            f"{smallest}, the smallest model{of_card}, needs {mib:.0f} of {usable_mib} MiB"
        )
    held = "B of card {{ $labels.card }}" if has_several_cards else "B"
    return Alert(
        name="LlamaSwapCardFull",
        expr=" or ".join(limits),
        hold="10m",
        # Whoever holds the memory releases some of it now and then.
        keep="1h",
        severity="critical",
        summary="Another program leaves too little of the card for any model",
        description=(
            f"Other programs hold {{{{ $value | humanize1024 }}}}{held}; {'; '.join(needs)}."
        ),
    )


def rule_groups(declared: tuple[Alert, ...]) -> dict[str, Any]:
    """Return the alerts as the body of a rule file, and of a PrometheusRule's `spec`."""
    return {
        "groups": [
            {
                "name": "llama-swap" if pool is None else f"llama-swap-{pool}",
                "rules": [_rule(alert) for alert in of_pool],
            }
            for pool, of_pool in itertools.groupby(declared, lambda alert: alert.pool)
        ]
    }


def render_rules(declared: tuple[Alert, ...]) -> str:
    """Render the rule file, YAML, byte-stable for equal alerts."""
    return yaml.safe_dump(rule_groups(declared), sort_keys=False, width=96)


def _rule(alert: Alert) -> dict[str, Any]:
    pool = alert.pool
    return {
        "alert": alert.name,
        "expr": alert.expr,
        "for": alert.hold,
        **({} if alert.keep is None else {"keep_firing_for": alert.keep}),
        "labels": {"severity": alert.severity, **({} if pool is None else {"pool": pool})},
        "annotations": {
            "summary": alert.summary if pool is None else f"{alert.summary} (pool {pool})",
            "description": alert.description,
            "runbook": alert.runbook,
        },
    }
