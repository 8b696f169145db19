"""A card that a script plays as nvidia-smi, which llama-swap reads for its gauges.

It shows what the running llama-servers would take by the played sizes, and what a played other
program holds.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from ops.machine.checkout import ROOT

TOTAL_MIB = 15_360
_SCRIPT = """\
#!{python}
import json, pathlib, sys, time

sys.path.insert(0, {root!r})
from tests.real.gateway.played_card import servers

if "--loop" not in sys.argv:
    sys.exit(1)
while True:
    card = json.loads(pathlib.Path({card!r}).read_text())
    sizes = card["sizes"]
    used = card["others_mib"] + sum(
        sizes[model] * len(servers(pathlib.Path({folder!r}), model)) for model in sizes
    )
    print(f"0, Tesla T4, GPU-played, 40, 0, {{used}}, {total}, 0, 20", flush=True)
    time.sleep(int(sys.argv[-1]))
"""


def servers(models: Path, model: str) -> list[int]:
    """Return the ids of a model's llama-servers.

    Args:
        models: A directory above the models' own.
        model: The id of the model.
    """
    found = []
    for process in psutil.process_iter():
        try:
            # llama-swap starts it in the model's directory, the router names the file.
            words = (f"{process.cwd()}/model.gguf", *process.cmdline())
        except psutil.Error:
            continue
        if any(
            word.startswith(str(models)) and word.endswith(f"/{model}/model.gguf")
            for word in words
        ):
            found.append(process.pid)
    return found


@dataclass(frozen=True, kw_only=True)
class PlayedCard:
    """The card, and what other programs hold of it."""

    path: Path
    folder: Path
    """Where the models' files are."""
    sizes: Mapping[str, int]

    def hold(self, others_mib: int) -> None:
        """Let another program hold memory."""
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps({"others_mib": others_mib, "sizes": self.sizes}))
        fresh.replace(self.path)

    def servers(self, model: str) -> list[int]:
        """Return the ids of a model's llama-servers."""
        return servers(self.folder, model)


@contextmanager
def played_card(folder: Path, models: Path, sizes: Mapping[str, int]) -> Iterator[PlayedCard]:
    """Play a card for every front end that starts while the context lasts.

    Args:
        folder: A directory for the script.
        models: The directory below which the models' files are.
        sizes: Model -> MiB that it takes.
    """
    folder.mkdir(parents=True)
    card = PlayedCard(path=folder / "card.json", folder=models, sizes=sizes)
    card.hold(0)
    script = folder / "nvidia-smi"
    script.write_text(
        _SCRIPT.format(
            python=sys.executable,
            root=str(ROOT),
            card=str(card.path),
            folder=str(models),
            total=TOTAL_MIB,
        )
    )
    script.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        yield card
