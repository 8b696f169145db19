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

TOTAL_MIB = 15_360
_SCRIPT = """\
#!{python}
import json, pathlib, sys, time

def running(folder):
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\\0")
        except OSError:
            continue
        for word in words:
            if word.startswith(folder) and word.endswith("/model.gguf"):
                yield pathlib.Path(word).parent.name

if "--loop" not in sys.argv:
    sys.exit(1)
while True:
    card = json.loads(pathlib.Path({card!r}).read_text())
    if card["others_mib"] is None:
        sys.exit(1)
    used = sum(card["sizes"][model] for model in running({folder!r})) + card["others_mib"]
    print(f"0, Tesla T4, GPU-played, 40, 0, {{used}}, {total}, 0, 20", flush=True)
    time.sleep(int(sys.argv[-1]))
"""


@dataclass(frozen=True, kw_only=True)
class PlayedCard:
    """The card, and what other programs hold of it."""

    path: Path
    folder: Path
    """Where the models' files are."""
    sizes: Mapping[str, int]

    def hold(self, others_mib: int | None) -> None:
        """Let another program hold memory; None: nvidia-smi ends."""
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps({"others_mib": others_mib, "sizes": self.sizes}))
        fresh.replace(self.path)

    def servers(self, model: str) -> list[int]:
        """Return the ids of a model's llama-servers."""
        found = []
        for process in psutil.process_iter():
            try:
                words = process.cmdline()
            except psutil.Error:
                continue
            if any(self._is_of(word, model) for word in words):
                found.append(process.pid)
        return found

    def _is_of(self, word: str, model: str) -> bool:
        return word.startswith(str(self.folder)) and word.endswith(f"/{model}/model.gguf")


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
            python=sys.executable, card=str(card.path), folder=str(models), total=TOTAL_MIB
        )
    )
    script.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        yield card
