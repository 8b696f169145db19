"""Every metric and label that a rule or the dashboard names is one of the exporter's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from in_pod.exporter import contract
from in_pod.exporter.contract import METRICS, Metric
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.monitoring.alerts import alerts
from llama_swap_config.monitoring.dashboard import ROWS, render_dashboard
from stacks.monitoring import alerts_of, dashboard_of
from tests.declaration.pools import POOLS
from tests.declaration.settings import SETTINGS

SELECTOR = re.compile(r"\b(llama_swap_\w+)(\{[^}]*\})?")
VALUES = {
    "state": {
        *contract.MODEL_STATES, *contract.ENDPOINT_STATES, *contract.JOB_STATES,
    },
    "status": {*contract.STATUSES, contract.ABORTED, contract.INCOMPLETE},
}  # fmt: skip


def queries(locked: tuple[LockedModel, ...]) -> Iterator[str]:
    for alert in alerts(locked, SETTINGS.node.machine):
        yield alert.expr
    for row in ROWS:
        for panel in row.panels:
            yield from (query.expr for query in (*panel.queries, *panel.by_card))


def test_every_selector_of_a_pool_names_its_namespace() -> None:
    for pool in POOLS:
        exprs = [alert.expr for alert in alerts_of(POOLS) if alert.pool == pool.name]
        assert len(exprs) == 9
        for expr in exprs:
            assert {f'namespace="{pool.settings.namespace}"'} == set(
                re.findall(r'namespace="[^"]*"', expr)
            )
            assert expr.count("namespace=") == len(SELECTOR.findall(expr))


def test_every_query_of_the_dashboard_names_the_pool() -> None:
    board = json.loads(dashboard_of(POOLS))
    exprs = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    assert len(exprs) > 20
    for expr in exprs:
        assert expr.count('namespace=~"$pool"') == len(SELECTOR.findall(expr)), expr
    assert any("by (card, model)" in expr for expr in exprs)


def family(name: str) -> Metric:
    """Return the metric of a series; a histogram has three."""
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    if name not in METRICS:
        assert METRICS[base].kind == "histogram", name
        return METRICS[base]
    assert METRICS[name].kind != "histogram", name
    return METRICS[name]


def test_every_metric_and_label_exists(locked: tuple[LockedModel, ...]) -> None:
    for expr in queries(locked):
        found = SELECTOR.findall(expr)
        assert found, expr
        labels: set[str] = set()
        for name, matchers in found:
            labels |= {*family(name).labels, "le"}
            for label, op, value in re.findall(r'(\w+)(=~|=)"([^"]*)"', matchers):
                assert label in family(name).labels, expr
                known = VALUES.get(label, {value})
                for one in value.split("|") if op == "=~" else [value]:
                    assert any(re.fullmatch(one, candidate) for candidate in known), expr
        for names in re.findall(r"\bby \(([^)]*)\)", expr):
            assert set(re.split(r",\s*", names)) <= labels, expr


def test_rates_are_of_counters_and_quantiles_of_histograms(
    locked: tuple[LockedModel, ...],
) -> None:
    for expr in queries(locked):
        for name in re.findall(r"(?:rate|increase)\((\w+)", expr):
            assert family(name).kind in ("counter", "histogram"), expr
        assert ("histogram_quantile" in expr) == ("_bucket" in expr), expr


def test_the_dashboard_is_what_grafana_reads() -> None:
    board = json.loads(render_dashboard())
    assert render_dashboard() == render_dashboard()
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert [panel["title"] for panel in panels] == [
        panel.title for row in ROWS for panel in row.panels
    ]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for panel in panels:
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["description"]
    (variable,) = board["templating"]["list"]
    assert (variable["name"], variable["query"]) == ("datasource", "prometheus")


def test_swaps_stand_on_top() -> None:
    assert ROWS[0].title == "Swaps and what they cost"


def test_a_legend_names_labels_of_its_query() -> None:
    for query in [
        query for row in ROWS for panel in row.panels for query in (*panel.queries, *panel.by_card)
    ]:
        names = [name for name, _ in SELECTOR.findall(query.expr)]
        labels = {label for name in names for label in family(name).labels}
        assert set(re.findall(r"\{\{(\w+)\}\}", query.legend)) <= labels
