"""Time `python main.py` against the same program with eager provider bindings.

They take turns, so that a busy machine slows both. The first round writes bytecode and jsii's
package cache, and does not count.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

from ops.machine.checkout import ROOT

ROUNDS = 5


def synth_s(**env: str) -> float:
    """Time one synth in its own process."""
    with tempfile.TemporaryDirectory() as out:
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "main.py"],
            cwd=ROOT,
            env=os.environ | {"CDKTF_OUTDIR": out} | env,
            check=True,
        )
        return time.perf_counter() - started


def main() -> None:
    """Print each round and the medians."""
    lazy, eager = [], []
    for round_ in range(ROUNDS + 1):
        pair = synth_s(), synth_s(LLAMA_CPP_EAGER_PROVIDER="1")
        print(f"round {round_}: lazy {pair[0]:5.2f} s   eager {pair[1]:5.2f} s", flush=True)
        if round_:
            lazy.append(pair[0])
            eager.append(pair[1])
    lazy_s, eager_s = statistics.median(lazy), statistics.median(eager)
    print(
        f"median:  lazy {lazy_s:5.2f} s   eager {eager_s:5.2f} s   {eager_s / lazy_s:.1f}x faster"
    )


if __name__ == "__main__":
    main()
