"""A bad consumer is one line: which, its field and value, what is expected and what to do."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llama_swap_config.declaration import Declaration
from llama_swap_config.errors import ConfigError
from llama_swap_config.gateway.consumer import Consumer
from tests.conftest import ROOT
from tests.declaration.consumers import CONSUMERS
from tests.declaration.frozen import DECLARATION
from tests.declaration.registry import REGISTRY

BAD_FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "no model": (
        {"models": ()},
        "consumer 'n8n': models is (); expected ids of the registry, at least one, none twice. "
        "Name the models that it may ask.",
    ),
    "a model twice": ({"models": ("a", "a")}, "models is ('a', 'a'); expected ids of the regist"),
    "a model without its tuple": ({"models": "a"}, "expected a tuple of texts, such as ('a',)"),
    "a name for people": (
        {"name": "Photo poster"},
        "name is 'Photo poster'; expected a DNS",
    ),
    "a name that leaves its directory": ({"name": "../n8n"}, "name is '../n8n'; expected a DNS"),
    "no namespace": ({"namespace": ""}, "namespace is ''; expected a DNS label"),
    "a namespace of a whole cluster": ({"namespace": "*"}, "namespace is '*'; expected a DNS la"),
    "no request at once": (
        {"parallel_requests": 0},
        "parallel_requests is 0; expected a whole number of at least 1",
    ),
    "no request in a minute": (
        {"requests_per_minute": 0},
        "requests_per_minute is 0; expected a whole number of at least 1",
    ),
    "a protection before the answer": (
        {"protected_s": -1},
        "protected_s is -1; expected a whole number of at least 0",
    ),
    "a protection without end": (
        {"protected_s": 10**12},
        "protected_s is 1000000000000; expected at most a day, 86400",
    ),
}


@pytest.mark.parametrize(("fields", "message"), BAD_FIELDS.values(), ids=BAD_FIELDS.keys())
def test_a_bad_field_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Consumer(**({"name": "n8n", "namespace": "n8n", "models": ("a",)} | fields))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


FIRST, SECOND, _ = CONSUMERS
BAD_TOGETHER: dict[str, tuple[tuple[Consumer, ...], str]] = {
    "an unknown model": (
        (replace(FIRST, models=("gpt-5",)),),
        "consumer 'photo-poster': models is 'gpt-5'; expected an id of the registry: qwen3vl-8b, "
        "minicpm-v-4-5, qwen3vl-4b. Correct it.",
    ),
    "two of one namespace": (
        (FIRST, replace(SECOND, namespace="photo-poster")),
        "consumer 'home-assistant': namespace is 'photo-poster'; expected another one than "
        "consumer 'photo-poster' has. Change one, or make the two one consumer.",
    ),
    "two of one name": (
        (FIRST, replace(SECOND, name="photo-poster")),
        "consumer 'photo-poster': name is 'photo-poster'; expected another one than consumer",
    ),
}


@pytest.mark.parametrize(("consumers", "message"), BAD_TOGETHER.values(), ids=BAD_TOGETHER.keys())
def test_consumers_that_do_not_fit_together_are_refused(
    consumers: tuple[Consumer, ...], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Declaration.of(REGISTRY, consumers=consumers)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_alias_names_the_model() -> None:
    first = replace(REGISTRY[0], aliases=("vision",))
    with pytest.raises(ConfigError, match=r"models is 'vision'; .*Write 'qwen3vl-8b', whose ali"):
        Declaration.of((first, *REGISTRY[1:]), consumers=(replace(FIRST, models=("vision",)),))


def test_no_consumer_is_valid() -> None:
    assert Declaration.of(REGISTRY).consumers == ()
    assert DECLARATION.consumers == CONSUMERS


def test_main_prints_one_line(tmp_path: Path) -> None:
    """As an operator sees it who removes a model that somebody asks."""
    tree = tmp_path / "tree"
    shutil.copytree(ROOT, tree, symlinks=True)
    consumers = tree / "llama_swap_config" / "consumers.py"
    text = consumers.read_text()
    # Another length: Python takes a file of the same size and second for the one it compiled.
    consumers.write_text(text.replace('("qwen3vl-4b",)', '("qwen3vl-32b",)'))
    ended = subprocess.run(
        [sys.executable, "main.py"], cwd=tree, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        "error: consumer 'home-assistant': models is 'qwen3vl-32b'; expected an id of the "
        "registry: qwen3vl-8b, minicpm-v-4-5, qwen3vl-4b. Correct it.\n"
    )
