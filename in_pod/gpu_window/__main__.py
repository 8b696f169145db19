"""Give the card back to whom a window took it from; runs in a CronJob, and in `ops window`.

A window is one Lease, `gpu-window`: the lock (owner, heartbeat) and the record of what to put
back, written before anything is scaled. This program restores a window that is past its deadline
and whose owner's heartbeat has stopped.

    python3 -m gpu_window --namespace llama-cpp

Environment: IMMICH_URL and IMMICH_API_KEY, where Immich's queues are to be resumed.

Exit codes: 0 restored, or nothing to do; 1 something remains, the lines say what; 65 the record
is damaged; 75 may heal by itself (no answer, or another one restores); 77 no access.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from pathlib import Path

from .api import Timing
from .contract import NO_ACCESS, REMAINS, TRANSIENT
from .errors import WindowError
from .immich import Immich
from .in_cluster import InClusterApi
from .restore import restore_past_deadline
from .window import Window


def main(arguments: list[str] | None = None, *, timing: Timing | None = None) -> int:
    """Run the program."""
    parser = argparse.ArgumentParser(
        prog="gpu_window",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--namespace", required=True, help="where the Lease and llama-swap are")
    parser.add_argument(
        "--service-account-dir",
        type=Path,
        default=Path("/var/run/secrets/kubernetes.io/serviceaccount"),
        help="token and ca.crt (%(default)s)",
    )
    options = parser.parse_args(arguments)
    # The first process of a container ignores SIGTERM unless it says otherwise.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TRANSIENT))

    def say(line: str) -> None:
        print(line, flush=True)

    try:
        host = os.environ["KUBERNETES_SERVICE_HOST"]
        port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        host = f"[{host}]" if ":" in host else host
        api = InClusterApi(
            service_account_dir=options.service_account_dir, url=f"https://{host}:{port}"
        )
        url, key = os.environ.get("IMMICH_URL", ""), os.environ.get("IMMICH_API_KEY", "")
        immich = Immich(url, key, say=say, timing=timing) if url and key else None
        window = Window(api, namespace=options.namespace, say=say, timing=timing)
        who = f"cronjob@{socket.gethostname()}"
        remains = restore_past_deadline(window, immich, who=who)
    except WindowError as error:
        say(f"error: {error}")
        return error.code
    except KeyError as error:
        say(f"error: {error.args[0]} is not set; this runs in a pod, with its service account")
        return NO_ACCESS
    except OSError as error:
        say(f"error: {error}; the pod's service account is read from --service-account-dir")
        return NO_ACCESS
    for line in remains:
        say(f"error: {line}")
    return REMAINS if remains else 0


if __name__ == "__main__":
    sys.exit(main())
