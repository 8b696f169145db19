"""Restore the tenants of a GPU window that is past its deadline; runs in a CronJob.

A window is one Lease, `gpu-window`. It holds the lock (owner, heartbeat) and the record of what to
restore, which is written before anything is scaled. This program restores the tenants once the
deadline has passed and the owner's heartbeat has stopped. `ops window` uses the same modules.

    python3 -m in_pod.gpu_window --namespace llama-cpp --tenant Deployment/immich/machine-learning

Environment: IMMICH_URL and IMMICH_API_KEY, to resume Immich's queues.

Exit codes: 0 restored, or nothing to do; 1 not restored completely, as the printed lines say; 65
damaged record; 75 temporary error (no answer, or another process restores); 77 no access.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from pathlib import Path

from ..kubernetes.in_cluster import SERVICE_ACCOUNT_DIR, InClusterApi
from ..kubernetes.workload import parse_workload
from .contract import NO_ACCESS, REMAINS, TRANSIENT
from .declared import Declared
from .errors import WindowError
from .immich import Immich
from .restore import restore_past_deadline
from .timing import Timing
from .window import Window


def main(arguments: list[str] | None = None, *, timing: Timing | None = None) -> int:
    """Run the program and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="gpu_window",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--namespace", required=True, help="use the Lease and the endpoint of this namespace"
    )
    parser.add_argument(
        "--tenant",
        action="append",
        default=[],
        type=parse_workload,
        metavar="KIND/NAMESPACE/NAME",
        help="restore this Deployment or StatefulSet, and no other; may be repeated",
    )
    parser.add_argument(
        "--queue",
        action="append",
        default=[],
        metavar="NAME",
        help="resume this queue of Immich, and no other; may be repeated",
    )
    parser.add_argument(
        "--service-account-dir",
        type=Path,
        default=SERVICE_ACCOUNT_DIR,
        help="read token and ca.crt from this directory (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    # The first process of a container ignores SIGTERM without a handler.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TRANSIENT))

    def say(line: str) -> None:
        print(line, flush=True)

    try:
        api = InClusterApi.of_pod(options.service_account_dir)
        url, key = os.environ.get("IMMICH_URL", ""), os.environ.get("IMMICH_API_KEY", "")
        immich = None
        if url and key:
            try:
                immich = Immich(url, key, say=say, timing=timing)
            except WindowError as error:
                # The replicas are restored without it.
                say(f"error: {error}")
        window = Window(api, namespace=options.namespace, say=say, timing=timing)
        who = f"cronjob@{socket.gethostname()}"
        declared = Declared(tenants=tuple(options.tenant), queues=tuple(options.queue))
        remains = restore_past_deadline(window, immich, declared, who=who)
    except WindowError as error:
        say(f"error: {error}")
        return error.code
    except KeyError as error:
        say(f"error: {error.args[0]} is not set. Run this in a pod with a service account.")
        return NO_ACCESS
    except OSError as error:
        say(f"error: {error}. Check --service-account-dir.")
        return NO_ACCESS
    for line in remains:
        say(f"error: {line}")
    return REMAINS if remains else 0


if __name__ == "__main__":
    sys.exit(main())
