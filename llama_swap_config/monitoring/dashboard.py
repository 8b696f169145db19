"""The dashboard, as Grafana reads it: what swaps cost on top, then answers, card and volume."""

from __future__ import annotations

import itertools
import string
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from llama_swap_config.monitoring.watched_pool import WatchedPool, of_namespace

Unit = Literal["s", "bytes", "reqps", "short", "suffix:tokens/s"]
"""Units as Grafana spells them."""
Kind = Literal["timeseries", "stat"]
TITLE, UID = "Vision models on one card", "llama-swap"
POOL = "pool"
"""The dashboard's variable for the pools, where there are several."""
DATASOURCE = "datasource"
"""The dashboard's variable for its Prometheus."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query of a panel."""

    expr: str
    legend: str = ""
    """Template of a series' name, such as `{{model}}` (default: all labels)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel."""

    title: str
    description: str
    unit: Unit
    queries: tuple[Query, ...]
    kind: Kind = "timeseries"
    span: int = 8
    """Width, of 24."""
    by_card: tuple[Query, ...] = ()
    """The queries where a pool has several cards (default: the same)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


def _rate(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}[$__rate_interval]))"


def _quantile(quantile: float, metric: str, by: str) -> str:
    return f"histogram_quantile({quantile}, {_rate(f'{metric}_bucket', f'le, {by}')})"


def _one(expr: str, legend: str = "") -> tuple[Query, ...]:
    return (Query(expr=expr, legend=legend),)


ROWS: tuple[Row, ...] = (
    Row(
        title="Swaps and what they cost",
        panels=(
            Panel(
                title="Waiting for a swap",
                description="Seconds that requests waited for their model, per second: 1 means "
                "that one client waits all the time.",
                unit="s",
                queries=_one(_rate("llama_swap_request_wait_seconds_sum", "model"), "{{model}}"),
            ),
            Panel(
                title="One swap",
                description="Seconds of a swap, median and 95th percentile.",
                unit="s",
                queries=(
                    Query(
                        expr=_quantile(0.5, "llama_swap_swap_seconds", "model"),
                        legend="{{model}} p50",
                    ),
                    Query(
                        expr=_quantile(0.95, "llama_swap_swap_seconds", "model"),
                        legend="{{model}} p95",
                    ),
                ),
            ),
            Panel(
                title="Swaps in an hour",
                description="Loads that ended, by model.",
                unit="short",
                queries=_one(
                    "sum by (model, outcome) (increase(llama_swap_swaps_total[1h]))",
                    "{{model}} {{outcome}}",
                ),
            ),
            Panel(
                title="Failed loads in an hour",
                description="memory: the card is full; file: it is missing or damaged; timeout: "
                "it took too long; crash: llama-server ended.",
                unit="short",
                queries=_one(
                    "sum by (model, class) (increase(llama_swap_failed_loads_total[1h]))",
                    "{{model}} {{class}}",
                ),
            ),
            Panel(
                title="Requests that wait",
                description="In flight, and their model is not ready.",
                unit="short",
                queries=_one("sum by (model) (llama_swap_requests_waiting)", "{{model}}"),
            ),
            Panel(
                title="Models on the card",
                description="1: starting, ready or stopping.",
                unit="short",
                queries=_one(
                    "max by (model, state) "
                    '(llama_swap_model_state{state=~"starting|ready|stopping"})',
                    "{{model}} {{state}}",
                ),
            ),
        ),
    ),
    Row(
        title="Answers",
        panels=(
            Panel(
                title="Last answer",
                description="Seconds since the last complete answer.",
                unit="s",
                kind="stat",
                queries=_one("time() - max(llama_swap_last_answer_timestamp_seconds)"),
            ),
            Panel(
                title="Answers",
                description="Ended requests per second, by status.",
                unit="reqps",
                queries=_one(_rate("llama_swap_answers_total", "status"), "{{status}}"),
            ),
            Panel(
                title="Answering",
                description="Seconds from a ready model to the end of its answer, 95th "
                "percentile.",
                unit="s",
                queries=_one(
                    _quantile(0.95, "llama_swap_request_answer_seconds", "model, start"),
                    "{{model}} {{start}}",
                ),
            ),
            Panel(
                title="Speed of answers",
                description="Generated tokens a second, median: less than when the model was "
                "chosen means that something else uses the card.",
                unit="suffix:tokens/s",
                queries=_one(
                    _quantile(0.5, "llama_swap_generated_tokens_per_second", "model"),
                    "{{model}}",
                ),
            ),
            Panel(
                title="Tokens",
                description="Tokens a second, by kind.",
                unit="short",
                queries=_one(_rate("llama_swap_tokens_total", "kind"), "{{kind}}"),
            ),
            Panel(
                title="In flight",
                description="Requests that have not ended.",
                unit="short",
                queries=_one("sum by (model) (llama_swap_requests_in_flight)", "{{model}}"),
            ),
        ),
    ),
    Row(
        title="Card",
        panels=(
            Panel(
                title="Memory of the card",
                description="Used by all programs, and by others than the models.",
                unit="bytes",
                queries=(
                    Query(expr="llama_swap_vram_used_bytes", legend="used"),
                    Query(expr="llama_swap_vram_others_bytes", legend="others"),
                    Query(expr="llama_swap_vram_total_bytes", legend="total"),
                    Query(
                        expr="sum by (model) (llama_swap_model_vram_bytes)",
                        legend="{{model}}, predicted",
                    ),
                ),
                by_card=(
                    Query(expr="llama_swap_vram_used_bytes", legend="card {{card}} used"),
                    Query(expr="llama_swap_vram_others_bytes", legend="card {{card}} others"),
                    Query(expr="llama_swap_vram_total_bytes", legend="card {{card}} total"),
                    Query(
                        expr="sum by (card, model) (llama_swap_model_vram_bytes)",
                        legend="card {{card}} {{model}}, predicted",
                    ),
                ),
            ),
            Panel(
                title="Endpoint",
                description="waits: the card's owner has it, which is usual outside a window.",
                unit="short",
                queries=_one("max by (state) (llama_swap_endpoint_state)", "{{state}}"),
            ),
            Panel(
                title="Window and tenants",
                description="1: a window is open; ready replicas of each tenant.",
                unit="short",
                queries=(
                    Query(expr="llama_swap_window_open", legend="window"),
                    Query(expr="llama_swap_tenant_ready_replicas", legend="{{tenant}}"),
                ),
            ),
        ),
    ),
    Row(
        title="Volume",
        panels=(
            Panel(
                title="Download",
                description="State of the download Job.",
                unit="short",
                queries=_one("max by (state) (llama_swap_download_state)", "{{state}}"),
            ),
            Panel(
                title="Verification",
                description="State of the last verification of the files.",
                unit="short",
                queries=_one("max by (state) (llama_swap_verification_state)", "{{state}}"),
            ),
            Panel(
                title="Telemetry",
                description="1: the exporter follows the front end, and asks the API server.",
                unit="short",
                queries=(
                    Query(expr="llama_swap_up", legend="front end"),
                    Query(expr="llama_swap_cluster_up", legend="API server"),
                ),
            ),
        ),
    ),
)


def panel_queries(panel: Panel, *, is_pooled: bool, has_several_cards: bool) -> Iterator[Query]:
    """Yield a panel's queries.

    Args:
        panel: The panel.
        is_pooled: Whether the variable for the pool selects their series.
        has_several_cards: Whether some pool has.
    """
    for query in (has_several_cards and panel.by_card) or panel.queries:
        yield (
            replace(query, expr=of_namespace(query.expr, f'=~"${POOL}"')) if is_pooled else query
        )


def render_dashboard(
    pools: tuple[WatchedPool, ...] = (), *, has_several_cards: bool = False
) -> str:
    """Render the dashboard, JSON, byte-stable.

    Args:
        pools: Several, each with rows of its own (default: there is only one).
        has_several_cards: Whether some pool has several cards (default: no).
    """
    # Imported here: a synth without monitoring does not need it.
    from grafana_foundation_sdk.builders import dashboard, prometheus, stat, timeseries
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableOption

    source = DataSourceRef(type_val="prometheus", uid=f"${{{DATASOURCE}}}")
    board = (
        dashboard.Dashboard("Vision models" if pools or has_several_cards else TITLE)
        .uid(UID)
        .refresh("30s")
        .time("now-6h", "now")
        .with_variable(
            dashboard.DatasourceVariable(DATASOURCE).label("Prometheus").type("prometheus")
        )
    )
    if pools:
        board = board.with_variable(
            dashboard.CustomVariable(POOL)
            .label("Pool")
            .values(", ".join(f"{pool.name} : {pool.namespace}" for pool in pools))
            .multi(True)
            .include_all(True)
            .current(VariableOption(text="All", value="$__all", selected=True))
        )
    number = itertools.count(1)
    for row in ROWS:
        heading = dashboard.Row(f"{row.title}: ${POOL}" if pools else row.title).id(next(number))
        # Grafana draws the row and its panels once for each chosen pool.
        board = board.with_row(heading.repeat(POOL) if pools else heading)
        for panel in row.panels:
            new = stat.Panel() if panel.kind == "stat" else timeseries.Panel()
            drawn = (
                new.id(next(number))
                .title(panel.title)
                .description(panel.description)
                .datasource(source)
                .unit(panel.unit)
                .span(panel.span)
                .height(8)
            )
            queries = panel_queries(
                panel, is_pooled=bool(pools), has_several_cards=has_several_cards
            )
            for letter, query in zip(string.ascii_uppercase, queries, strict=False):
                target = prometheus.Dataquery().ref_id(letter).expr(query.expr)
                drawn = drawn.with_target(target.legend_format(query.legend or "__auto"))
            board = board.with_panel(drawn)
    return f"{JSONEncoder(sort_keys=True, indent=2).encode(board.build())}\n"
