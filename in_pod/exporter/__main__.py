"""Watch the endpoint, and tell what it does; runs beside it in a Deployment.

It follows the front end's events and reads the cluster, and serves `/metrics` (Prometheus),
`/state` (JSON) and `/healthz`. It never loads a model, and never resets a model's idle clock.

    python3 -m in_pod.exporter --url http://llama-swap:8080 --plan exporter-plan.json --no-cluster

Environment: LLAMA_API_KEY, the endpoint's API key, without --api-key-file.

Exit codes: 0 ended by SIGTERM or SIGINT; 1 cannot start, as the printed line says; 2 usage.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ..kubernetes.in_cluster import SERVICE_ACCOUNT_DIR, InClusterApi
from ..kubernetes.workload import parse_workload
from .client import Client, FrontEndError
from .cluster import ClusterReader
from .contract import PORT
from .errors import ExporterError
from .llama_swap import LlamaSwap
from .picture import Camera
from .plan import read_plan
from .router import Router
from .server import Server
from .timing import Timing
from .watch import Watch

_FRONT_ENDS: dict[str, type[LlamaSwap | Router]] = {
    "llama-swap": LlamaSwap,
    "llama-server": Router,
}
_STACK_BYTES = 512 << 10


def main(arguments: list[str] | None = None, *, timing: Timing | None = None) -> int:
    """Run the program and return its exit code."""
    options = _options(arguments)
    timing = timing or Timing()
    try:
        plan = read_plan(options.plan)
        if plan.front_end not in _FRONT_ENDS:
            known = " or ".join(_FRONT_ENDS)
            raise ExporterError(
                f"{options.plan}: front_end is {plan.front_end!r}; expected {known}"
            )
        client = Client.of(options.url, options.api_key_file)
        cluster = None if options.no_cluster else _cluster(options)
        watch = Watch(plan)
        camera = Camera(watch, cluster)
        server = Server(options.host, options.port, camera=camera, series=watch.series, plan=plan)
    except (ExporterError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    except OSError as error:
        print(
            f"error: cannot listen on {options.host}:{options.port}: {error.strerror or error}",
            file=sys.stderr,
            flush=True,
        )
        return 1
    threading.stack_size(_STACK_BYTES)
    threading.excepthook = _end
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    front_end = _FRONT_ENDS[plan.front_end](client, watch, timing)
    _in_thread(_follow, front_end, watch, timing, stop)
    _in_thread(front_end.poll, stop)
    _in_thread(camera.follow, stop, timing)
    _in_thread(server.serve_forever)
    print(f"listening on {options.host}:{server.server_port}", flush=True)
    stop.wait()
    server.server_close()
    return 0


def _end(arguments: threading.ExceptHookArgs) -> None:
    """End the program, so that it is restarted: with a thread less it would be deaf."""
    threading.__excepthook__(arguments)
    os._exit(1)


def _in_thread(target: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=target, args=arguments, daemon=True).start()


def _follow(
    front_end: LlamaSwap | Router, watch: Watch, timing: Timing, stop: threading.Event
) -> None:
    """Follow the front end for ever: it may be absent for hours, and come back."""
    pause_s = timing.first_retry_s
    while not stop.is_set():
        started = time.monotonic()
        try:
            front_end.follow()
        except FrontEndError as error:
            watch.disconnected(str(error))
        if time.monotonic() - started > timing.last_retry_s:
            pause_s = timing.first_retry_s
        stop.wait(pause_s)
        pause_s = min(2 * pause_s, timing.last_retry_s)


def _cluster(options: argparse.Namespace) -> ClusterReader:
    try:
        api = InClusterApi.of_pod(options.service_account_dir)
    except KeyError as error:
        raise ExporterError(
            f"{error.args[0]} is not set. Run this in a pod with a service account, or use "
            "--no-cluster."
        ) from error
    except OSError as error:
        raise ExporterError(f"{error}. Check --service-account-dir.") from error
    return ClusterReader(api, namespace=options.namespace, tenants=tuple(options.tenant))


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="exporter",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--url", required=True, help="follow the front end at this address")
    parser.add_argument("--plan", required=True, type=Path, help="read the models from this JSON")
    parser.add_argument(
        "--api-key-file",
        type=Path,
        help="read the endpoint's API key from this file (default: LLAMA_API_KEY, or no key)",
    )
    parser.add_argument(
        "--host",
        default="0.0.0.0",  # noqa: S104 - Prometheus comes from another pod.
        help="listen on this address (default: %(default)s)",
    )
    parser.add_argument(
        "--port", type=int, default=PORT, help="listen on this port (default: %(default)s)"
    )
    cluster = parser.add_mutually_exclusive_group(required=True)
    cluster.add_argument("--namespace", help="read the endpoint's objects in this namespace")
    cluster.add_argument(
        "--no-cluster", action="store_true", help="tell only what the front end tells"
    )
    parser.add_argument(
        "--tenant",
        action="append",
        default=[],
        type=parse_workload,
        metavar="KIND/NAMESPACE/NAME",
        help="also read this Deployment or StatefulSet, a tenant of the GPU; may be repeated",
    )
    parser.add_argument(
        "--service-account-dir",
        type=Path,
        default=SERVICE_ACCOUNT_DIR,
        help="read token and ca.crt from this directory (default: %(default)s)",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
