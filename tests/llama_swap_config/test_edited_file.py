"""Whatever an operator's file says: it loads, or one line says where it is wrong."""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import llama_swap_config
from llama_swap_config import registry
from llama_swap_config.declaration import load
from llama_swap_config.errors import ConfigError
from llama_swap_config.front_ends import FRONT_ENDS
from tests.declaration.settings import SETTINGS
from tests.fakes.seeds import seeds

SOURCE = Path(str(registry.__file__)).read_text()

Load = Callable[[str], None]


@pytest.fixture
def load_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Load a text as the registry, check it, and render it for both front ends."""
    folder = tmp_path / "llama_swap_config"
    folder.mkdir()
    monkeypatch.setattr(llama_swap_config, "__path__", [str(folder), *llama_swap_config.__path__])
    monkeypatch.setattr(llama_swap_config, "registry", registry)  # An import sets it, too.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def load_text(text: str) -> None:
        (folder / "registry.py").write_bytes(text.encode("utf-8", "surrogatepass"))
        sys.modules.pop(registry.__name__, None)
        declaration = load()
        for front_end in FRONT_ENDS.values():
            residents = front_end.residents(
                declaration.locked, declaration.residency, SETTINGS.node.machine
            )
            front_end.config(declaration.locked, SETTINGS.llama_swap, residents).encode()

    yield load_text
    sys.modules[registry.__name__] = registry


WRONG = {
    "a comma is missing": (
        SOURCE.replace('id="qwen3vl-8b",', 'id="qwen3vl-8b"'),
        r'line 10: `id="qwen3vl-8b"`: invalid syntax\. Perhaps you forgot a comma\? Correct it',
    ),
    "a parenthesis is not closed": (
        SOURCE.replace(",\n)", ","),
        r"line \d+: `.*`: '\(' was never",
    ),
    "a name is not imported": (
        SOURCE.replace("OneAtATime()", "AsManyAsFit()"),
        r"line 33: `RESIDENCY.*`: NameError: name 'AsManyAsFit' is not defined\. Correct it",
    ),
    "a module that does not exist": (
        f"{SOURCE}\nimport judges\n",
        r"line 35: `import judges`: ModuleNotFoundError: No module named 'judges'\. Correct it",
    ),
    "two tuples without a comma": (
        f'{SOURCE}\nPAIRS = (("a", "b") ("c", "d"))\n',
        r"line 35: `PAIRS.*`: 'tuple' object is not callable; perhaps you missed a comma\? Corr",
    ),
    "an error without a text": (f"{SOURCE}\nraise RuntimeError\n", r"`: RuntimeError\. Correct"),
    "an error of many lines": (f"{SOURCE}\nraise OSError('a\\nb' * 999)\n", r"OSError: a ba ba "),
    "the program ends": (f"{SOURCE}\nimport sys\nsys.exit(0)\n", r"SystemExit: 0\. Correct it"),
    "no text": ("\0", r"source code string cannot contain null bytes\. Correct it"),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_python_refuses_is_one_line_with_its_place(
    load_text: Load, text: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(text)
    line = str(caught.value)
    assert line.startswith("llama_swap_config/registry.py")
    assert re.search(message, line), line
    assert line.endswith("Correct it, or restore it from git.")
    assert len(line.splitlines()) == 1
    assert len(line) < 400


MISPLACED = {
    "no tuple of models": (
        "REGISTRY = (Model(id='a', repository='o/n', quantisation='Q4_K_M'))",
        "registry: REGISTRY is Model(id='a', ",
        "expected a tuple of Model(...), such as (Model(...),). Correct it in llama_swap_config/",
    ),
    "a class": (
        "RESIDENCY = OneAtATime",
        "registry: RESIDENCY is <class 'llama_swap_config.fit.residency.OneAtATime'>",
        "expected OneAtATime(...), AsManyAsFit(...) or NamedSets(...). Correct it in ",
    ),
    "no registry": ("del REGISTRY", "registry: REGISTRY is None", "expected a tuple of Model("),
}


@pytest.mark.parametrize(("text", "start", "part"), MISPLACED.values(), ids=MISPLACED.keys())
def test_what_the_file_declares_has_to_be_of_its_type(
    load_text: Load, text: str, start: str, part: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(f"{SOURCE}\n{text}\n")
    assert str(caught.value).startswith(start)
    assert part in str(caught.value)


PIECES = (
    *("None", "True", "0", "-1", "1.5", "1e999", "'a'", '"""', "b'a'", "()", "(", ")", "[]", "{}"),
    *("[", "]", "{", "}", ",", "=", ":", "\n", "    ", "\t", "\\", "#", "'", '"', "\0", "\ud800"),
    *("ü", "\u2028", "${PORT}", "lambda: 0", "print", "Model", "REGISTRY", "RESIDENCY", "del "),
    *(
        "projector=None",
        "image_max_tokens=None",
        "aliases=('a')",
        "aliases=('a',)",
        "env={'A': 1}",
    ),
    *(
        "extra_args=('--threads', '4')",
        "env={'A': 'ü'}",
        "ttl_s=True",
        "sampling={}",
        "context=99",
    ),
    *(
        "kv_cache_type_k='q8_0'",
        "parallel_slots=2",
        "NamedSets(sets=(('a',),))",
        "import x",
        "1/0",
    ),
    *("raise SystemExit", "from llama_swap_config.fit.residency import *", "AsManyAsFit()"),
)


def mutated(seed: int) -> str:
    """Edit the registry as a tired operator does: delete, repeat, swap, insert, replace."""
    draw = random.Random(seed)
    parts = re.findall(r"\w+|\s+|.", SOURCE, re.DOTALL)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
        at = draw.randrange(len(parts))
        match draw.randrange(6):
            case 0:
                del parts[at]
            case 1:
                parts.insert(at, draw.choice(parts))
            case 2:
                other = draw.randrange(len(parts))
                parts[at], parts[other] = parts[other], parts[at]
            case 3:
                parts.insert(at, draw.choice(PIECES))
            case 4:
                parts[at] = draw.choice(PIECES)
            case _:
                del parts[at : at + draw.randrange(1, 40)]
    return "".join(parts)


def test_an_edited_registry_loads_or_is_refused_in_one_line(load_text: Load) -> None:
    lines: list[str] = []
    tried = 0
    for seed in seeds(500):
        tried += 1
        try:
            load_text(mutated(seed))
        except ConfigError as error:
            lines.append(str(error))
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
    assert [line for line in lines if len(line.splitlines()) != 1] == []
    assert 50 < len(lines) < tried - 50
