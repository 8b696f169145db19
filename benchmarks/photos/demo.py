"""Try `ops bench` without an album or a GPU: with sample pictures and the models of `make up`.

python -m benchmarks.photos.demo
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from ops.commands.bench.album.sample_pictures import write_sample_pictures
from ops.commands.bench.session import RUNS
from ops.commands.serve import run as serve
from ops.endpoint.api_key import KEY_VARIABLE
from ops.errors import OpsError
from ops.machine.checkout import ROOT
from ops.report.terminal import say

_STATE_DIR = ROOT / ".embedded"
_COUNT = 60


def main() -> NoReturn:
    """Write the pictures, and become the command that asks about them.

    Raises:
        OpsError: when `make up` serves no models.
    """
    served = serve.find(_STATE_DIR)
    if served is None:
        raise OpsError("no models are served here; run `make up` first")
    if served.key is not None:
        os.environ[KEY_VARIABLE] = served.key.read()
    pictures = RUNS / "sample-pictures"
    count = write_sample_pictures(pictures, most=_COUNT)
    say(f"wrote {count} sample pictures and their judgement into {pictures}")
    lock = _STATE_DIR / "models.lock.json"
    options = ["--url", served.url, "--random-weights", "--lock", str(lock)]
    # In its own process it records, and later prints, the command as an operator types it.
    os.execv(sys.executable, [sys.executable, "-m", "ops", "bench", str(pictures), *options])


if __name__ == "__main__":
    try:
        main()
    except OpsError as error:
        sys.exit(f"error: {error}")
