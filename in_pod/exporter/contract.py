"""The exporter's port, paths, plan and metrics."""

from __future__ import annotations

from typing import Literal, NamedTuple

PORT = 9414
METRICS_PATH, STATE_PATH, HEALTH_PATH = "/metrics", "/state", "/healthz"
PLAN_FILE = "exporter-plan.json"
STATE_VERSION = 1
"""Version of the document at `STATE_PATH`: fields may be added, and never change."""
KEY_VARIABLE = "LLAMA_API_KEY"
"""Variable with the endpoint's API key; llama-server and `ops` use the same name."""
OTHER = "_other"
"""Label of everything that the plan does not name; no model has such an id."""
ONLY_CARD = ""
"""Value of the label `card` where there is one card: Prometheus takes it for no label."""

MODEL_STATES = ("stopped", "starting", "ready", "stopping", "sleeping", "unknown")
"""`sleeping`: the router's idle model, which has given its memory back."""
ENDPOINT_STATES = ("serves", "waits", "warming", "failed", "stopped", "unknown")
"""`waits`: its pod waits for the card, which is usual outside a window."""
ABORTED, INCOMPLETE = "aborted", "incomplete"
"""A load that somebody ended, or a request whose client left before an answer; an answer without
an end."""
OUTCOMES = ("ready", "failed", ABORTED)
FAILURES = ("memory", "file", "timeout", "crash", "unknown")
"""Why a load failed; `unknown`: the front end does not tell."""
JOB_STATES = ("none", "running", "complete", "failed")
STATUSES = tuple(
    map(str, (200, 400, 401, 403, 404, 405, 408, 413, 429, 499, 500, 501, 502, 503, 504))
)
"""HTTP statuses with a label of their own; others are counted as 2xx, 3xx, 4xx or 5xx."""

SECONDS_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300)
SPEED_BUCKETS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)


class Metric(NamedTuple):
    """One family of series."""

    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()


_MODEL, _CARD = ("model",), ("card",)

METRICS: dict[str, Metric] = {
    "llama_swap_up": Metric("gauge", (), "Whether the exporter follows the front end."),
    "llama_swap_cluster_up": Metric("gauge", (), "Whether the API server answers the exporter."),
    "llama_swap_build_info": Metric(
        "gauge",
        ("front_end", "version", "engine_build", "config"),
        "The front end, its version, the declared build of llama.cpp, and the sha256 of the "
        "declared configuration.",
    ),
    "llama_swap_endpoint_state": Metric(
        "gauge", ("state",), "1 for the endpoint's state; waits: its pod waits for the card."
    ),
    "llama_swap_model_state": Metric("gauge", ("model", "state"), "1 for a model's state."),
    "llama_swap_model_vram_bytes": Metric(
        "gauge", ("model", "card"), "Predicted VRAM of a loaded model."
    ),
    "llama_swap_swaps_total": Metric(
        "counter", ("model", "outcome"), "Loads that ended: ready, failed or aborted."
    ),
    "llama_swap_swap_seconds": Metric(
        "histogram",
        _MODEL,
        "Seconds from the stop of the previous model, or the start, until a model was ready.",
        SECONDS_BUCKETS,
    ),
    "llama_swap_failed_loads_total": Metric(
        "counter", ("model", "class"), "Loads that failed, by the reason."
    ),
    "llama_swap_crashes_total": Metric(
        "counter", _MODEL, "How often the llama-server of a loaded model ended by itself."
    ),
    "llama_swap_request_wait_seconds": Metric(
        "histogram",
        ("model", "outcome"),
        "Seconds that requests waited for a model that was not ready; outcome failed: they never "
        "reached it.",
        SECONDS_BUCKETS,
    ),
    "llama_swap_request_answer_seconds": Metric(
        "histogram",
        ("model", "start"),
        "Seconds from a ready model to the end of its complete answer; start cold: the request "
        "waited before.",
        SECONDS_BUCKETS,
    ),
    "llama_swap_answers_total": Metric(
        "counter",
        ("model", "status"),
        "Ended requests by HTTP status; aborted: the client left before an answer; incomplete: "
        "a stream of status 200 without its end.",
    ),
    "llama_swap_requests_in_flight": Metric("gauge", _MODEL, "Requests that have not ended."),
    "llama_swap_requests_waiting": Metric(
        "gauge", _MODEL, "Requests in flight whose model is not ready."
    ),
    "llama_swap_tokens_total": Metric(
        "counter", ("model", "kind"), "Tokens of answers: prompt, cached and generated."
    ),
    "llama_swap_prompt_tokens_per_second": Metric(
        "histogram", _MODEL, "Tokens a second in which prompts were read.", SPEED_BUCKETS
    ),
    "llama_swap_generated_tokens_per_second": Metric(
        "histogram", _MODEL, "Tokens a second in which answers were written.", SPEED_BUCKETS
    ),
    "llama_swap_last_answer_timestamp_seconds": Metric(
        "gauge", (), "When the last complete answer of status 200 ended, in seconds since 1970."
    ),
    "llama_swap_vram_used_bytes": Metric("gauge", _CARD, "VRAM in use, by every program."),
    "llama_swap_vram_total_bytes": Metric("gauge", _CARD, "VRAM of the card."),
    "llama_swap_vram_others_bytes": Metric(
        "gauge", _CARD, "VRAM in use beyond the prediction for the loaded models."
    ),
    "llama_swap_window_open": Metric("gauge", (), "Whether a GPU window is open."),
    "llama_swap_window_deadline_timestamp_seconds": Metric(
        "gauge", (), "When the open window has to end, in seconds since 1970."
    ),
    "llama_swap_tenant_replicas": Metric("gauge", ("tenant",), "Wanted replicas of a tenant."),
    "llama_swap_tenant_ready_replicas": Metric(
        "gauge", ("tenant",), "Ready replicas of a tenant, which has the card then."
    ),
    "llama_swap_download_state": Metric("gauge", ("state",), "1 for the download Job's state."),
    "llama_swap_verification_state": Metric(
        "gauge", ("state",), "1 for the state of the last Job that verified the volume."
    ),
    "llama_swap_verification_success_timestamp_seconds": Metric(
        "gauge", (), "When a verification of the volume last succeeded, in seconds since 1970."
    ),
    "llama_swap_exporter_reconnects_total": Metric(
        "counter", (), "Lost connections to the front end."
    ),
    "llama_swap_exporter_dropped_total": Metric(
        "counter",
        ("what",),
        "What the exporter could not use: too large or invalid events, requests beyond its "
        "limit, answers that it missed.",
    ),
    "process_resident_memory_bytes": Metric("gauge", (), "Resident memory of the exporter."),
    "process_cpu_seconds_total": Metric("counter", (), "CPU time of the exporter."),
}
"""Name -> what it is. The exporter has no other."""
