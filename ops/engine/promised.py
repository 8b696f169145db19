"""What llama-server promises to reserve: read from its log, before it loads a weight."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from in_pod.download.contract import LINK_NAMES
from llama_swap_config.front_ends.server_command import (
    ServerSettings,
    model_options,
    shared_options,
)
from llama_swap_config.model import Model
from ops.engine.card import cards
from ops.engine.log_lines import (
    CACHE,
    CACHED_LAYER,
    COMPUTE,
    NEW_CONTEXT,
    PROJECTOR,
    SUMS,
    WEIGHTS,
)
from ops.engine.unknown_names import explained
from ops.engine.until import run_until
from ops.errors import OpsError

_ATTEMPTS = 3
"""At a refused projector, b10524 exits before it has written its log in 1 of 100 runs."""
_READ_PROJECTOR = "estimated worst-case memory usage of mmproj"
_NO_PROJECTOR = "failed to get memory usage of mmproj"
_PROJECTOR_FAULT = re.compile(r"clip_init: failed to load model '.*?': (.+)")
_FITTED = re.compile(r"common_fit_params: fitting params to free memory took")
_BUFFER = "model buffer size"
_ERROR = re.compile(r"^[\d.]+ E (?:\w+ +)?(.*)")
_LISTENS = "listening on"
_PREFIX = re.compile(r"^[\d.]+ [IWED] ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Promised:
    """MiB of a card, as in the log."""

    weights: float | None
    """None where it was not asked."""
    kv_cache: float
    """Of all caches: with and without a sliding window, and recurrent states."""
    compute: float
    projector: float
    """The projector with its compute buffer; 0 without one, or where it stays on the CPU."""


def promised(
    programs: Path, model: Model, folder: Path, link: str, *, whole: bool = True
) -> tuple[Promised, ...]:
    """Ask llama-server, with the endpoint's own options, what a model takes of each of its cards.

    `--fit` computes it from the headers, in half a second for a model of any size.

    Args:
        programs: The directory of llama-server and ggml-rpc-server.
        model: Its settings.
        folder: Holds its files under the names of the links on the volume.
        link: Name of the weights there, or of their first part.
        whole: Whether to ask for the weights and the projector too, which do not depend on the
            context and take as long again (default: yes).

    Raises:
        OpsError: with the engine's own words when it refuses the model; when it takes more than a
            minute or 4 GiB of memory.
    """
    words = server_words(model, folder, link, without=() if whole else ("--mmproj",))
    with cards(programs, len(model.cards)) as addresses:
        # After the endpoint's own options: the last one of a kind counts.
        command = [str(programs / "llama-server"), *words, "--host", "127.0.0.1"]
        command += ["--port", "0", "--rpc", ",".join(addresses), "-lv", "5", "-fit", "on"]
        log = _Log(addresses, weights=whole)
        run_until(command, log.is_over)
    if log.lacks_projector:
        projector = folder / LINK_NAMES["mmproj"]
        raise OpsError(_refusal(_projector_fault(programs, projector)))
    return log.promised(seeing=whole and model.projector is not None)


def server_words(
    model: Model, folder: Path, link: str, *, without: Collection[str] = ()
) -> tuple[str, ...]:
    """Return the endpoint's own arguments of llama-server, but for the device.

    Args:
        model: Its settings.
        folder: Holds its files.
        link: Name of the weights there, or of their first part.
        without: Flags to leave out, with their values (default: none).
    """
    options = [*shared_options(ServerSettings(device=None))]
    options += model_options(model, folder=f"{folder}/", weights=link, alias=None)
    return tuple(
        word
        for option in options
        if option[0] not in without
        for word in option
        if word is not None
    )


def _projector_fault(programs: Path, projector: Path) -> str:
    """Return why llama-server cannot load a projector, which `--fit` does not log.

    It would say so after the weights, which are holes: a tiny model takes their place.
    """
    from ops.gguf.tiny_models import write_weights  # It imports numpy, for a refusal alone.

    faults: list[str] = []

    def is_over(line: str) -> bool:
        faults.extend(_PROJECTOR_FAULT.findall(line.strip()))
        return bool(faults) or _LISTENS in line

    with tempfile.TemporaryDirectory(prefix="llama-cpp-headers-") as name:
        weights = Path(name) / "model.gguf"
        write_weights(weights, "tiny", vision=False)
        command = [str(programs / "llama-server"), "--model", str(weights)]
        command += ["--mmproj", str(projector), "--host", "127.0.0.1", "--port", "0"]
        for _ in range(_ATTEMPTS):
            run_until([*command, "-fit", "off"], is_over)
            if faults:
                return faults[0]
    return _NO_PROJECTOR


class _Log:
    """The terms that were read so far, card by card."""

    def __init__(self, addresses: tuple[str, ...], *, weights: bool) -> None:
        self._cards = {address: card for card, address in enumerate(addresses)}
        self._asks_weights = weights
        self._layers: list[int] = []
        self._caches = [0.0] * len(addresses)
        self._compute = [0.0] * len(addresses)
        self._projector: dict[int, float] = {}
        self._sums: dict[int, tuple[int, ...]] = {}
        self._weights: dict[int, float] = {}
        self._has_projector = False
        self._is_fitted = False
        self._last = ""
        self._error = ""
        self.lacks_projector = False

    def is_over(self, line: str) -> bool:
        """Read a line; return whether nothing more is needed."""
        self._last = _PREFIX.sub("", line.strip()) or self._last
        if not self._error and (found := _ERROR.match(line)):
            self._error = found[1].strip()
        self.lacks_projector = self.lacks_projector or _NO_PROJECTOR in line
        if self.lacks_projector:
            return True
        if not self._is_fitted:
            self._read(line)
            self._is_fitted = _FITTED.search(line) is not None
            return self._is_fitted and not self._asks_weights
        # Without weights, --fit has logged each of their buffers as 0.
        if match := WEIGHTS.search(line):
            self._weights[self._cards.get(match[1], 0)] = float(match[2])
        is_last = len(self._weights) == len(self._cards)
        return is_last or (bool(self._weights) and _BUFFER not in line)

    def _read(self, line: str) -> None:
        count = len(self._cards)
        if NEW_CONTEXT in line:
            self._caches, self._compute = [0.0] * count, [0.0] * count
        self._has_projector |= _READ_PROJECTOR in line
        if match := SUMS.search(line):
            card, *sums = map(int, match.groups())
            self._sums[card] = tuple(sums)
        if match := CACHED_LAYER.search(line):
            self._layers.append(int(match[1]))
        if match := CACHE.search(line):
            for card in range(count):
                share = self._layers.count(card) / max(len(self._layers), 1) if count > 1 else 1
                self._caches[card] += float(match[1]) * share
            self._layers.clear()
        if match := COMPUTE.search(line):
            self._compute[self._cards.get(match[1], 0)] += float(match[2])
        if match := PROJECTOR.search(line):
            card = int(match[2])
            self._projector[card] = self._projector.get(card, 0) + float(match[1])

    def promised(self, *, seeing: bool) -> tuple[Promised, ...]:
        """Return the terms; `seeing`: whether there has to be a projector among them."""
        if seeing and not self._has_projector:
            raise OpsError(self._refusal("it logged no size of the projector"))
        cards = self._cards.values()
        is_whole = self._is_fitted and set(cards) <= set(self._sums)
        if not any(self._compute) or not is_whole:
            raise OpsError(self._refusal("it logged no sizes"))
        return tuple(self._on(card) for card in cards)

    def _on(self, card: int) -> Promised:
        weights: float | None = None
        if self._asks_weights:
            # A model that is larger than this machine's memory: what was rounded down, and one.
            larger = float(self._sums[card][0] + 1)
            weights = self._weights.get(card, 0.0) if self._weights else larger
        return Promised(
            weights=weights,
            kv_cache=self._checked("caches", self._caches[card], self._sums[card][1]),
            compute=self._checked("compute", self._compute[card], self._sums[card][2]),
            projector=round(self._projector.get(card, 0), 2),
        )

    def _checked(self, term: str, found: float, whole: int) -> float:
        """Compare a term with the engine's sum: another kind of cache may be logged otherwise."""
        if -0.02 < found - whole < 1.02:
            return round(found, 2)
        if term == "caches" and len(self._cards) > 1 and any(self._caches):
            # The layers' caches differ in size: what was rounded down, and one.
            return float(whole + 1)
        raise OpsError(
            f"llama-server logs {found:.2f} MiB of {term} and sums up {whole}: this build "
            "logs a buffer that ops/engine/promised.py does not know"
        )

    def _refusal(self, otherwise: str) -> str:
        return _refusal(self._error or self._last or otherwise)


def _refusal(words: str) -> str:
    """Return the engine's own words."""
    return explained(f"llama-server refuses it: {words[:300]}")
