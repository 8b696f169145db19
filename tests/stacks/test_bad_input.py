"""Bad input fails with one line: model, field, value, what is expected and what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import llama_swap_config
import main
import stacks
from llama_swap_config import registry
from llama_swap_config.checks import check_registry
from llama_swap_config.errors import ConfigError
from llama_swap_config.lock.file import read_lock
from llama_swap_config.lock.locked import LOCK_PATH, lock_models
from llama_swap_config.model import Model, Sampling
from tests.conftest import ROOT
from tests.declaration.frozen import DECLARATION


def model(**fields: Any) -> Model:
    base: dict[str, Any] = {"id": "a", "repository": "owner/name", "quantisation": "Q4_K_M"}
    return Model(**(base | fields))


BAD_FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "id with capitals": ({"id": "Qwen3"}, "model 'Qwen3': id is 'Qwen3'; expected a DNS label"),
    "id with a dot": ({"id": "qwen3.5"}, "id is 'qwen3.5'"),
    "id too long": ({"id": "a" * 64}, "at most 63"),
    "id of the blob folder": ({"id": "blobs"}, "not 'blobs'"),
    "no repository owner": ({"repository": "name"}, "repository is 'name'; expected owner/name"),
    "no label": ({"quantisation": "Q4 K M"}, "quantisation is 'Q4 K M'; expected a label such as"),
    "no label of a projector": ({"projector": "-F16"}, "projector is '-F16'; expected a label"),
    "a long label": ({"quantisation": "Q" * 33}, "at most 32 characters"),
    "no owner of the projector": (
        {"projector_repository": "name"},
        "projector_repository is 'name'; expected owner/name",
    ),
    "a file outside the repository": ({"file": "../a.gguf"}, "file is '../a.gguf'; expected the "),
    "an absolute file": ({"file": "/a.gguf"}, "file is '/a.gguf'; expected the path of one file"),
    "another kind of file": ({"file": "a.bin"}, "file is 'a.bin'; expected the path of one file"),
    "a control character in a file's name": (
        {"projector_file": "a\x1b.gguf"},
        "projector_file is 'a\\x1b.gguf'; expected the path",
    ),
    "a pattern": ({"file": "*.gguf"}, "file is '*.gguf'; expected the path of one file"),
    "a projector's file of a text model": (
        {"projector_file": "a.gguf", "projector": None, "image_max_tokens": None},
        "projector_file is 'a.gguf'; expected None without a projector",
    ),
    "context zero": ({"context": 0}, "context is 0; expected a whole number of at least 1"),
    "context negative": ({"context": -1}, "context is -1"),
    "context not a number": ({"context": "3072"}, "context is '3072'"),
    "context at the image limit": (
        {"context": 1024, "image_max_tokens": 1024},
        "context is 1024; expected more than image_max_tokens (1024)",
    ),
    "context of a slot at the image limit": (
        {"context": 2048, "parallel_slots": 2},
        "for each of 2 parallel_slots",
    ),
    "image limit without projector": ({"projector": None}, "image_max_tokens is 1024"),
    "projector without image limit": ({"image_max_tokens": None}, "image_max_tokens is None"),
    "image limit below the models' minimum": ({"image_max_tokens": 4}, "at least 8"),
    "image minimum above its limit": (
        {"image_min_tokens": 1025},
        "image_min_tokens is 1025; expected 1 to image_max_tokens (1024)",
    ),
    "image minimum of zero": ({"image_min_tokens": 0}, "image_min_tokens is 0; expected 1 to"),
    "image minimum of a text model": (
        {"image_min_tokens": 64, "image_max_tokens": None, "projector": None},
        "image_min_tokens is 64; expected None for a text model",
    ),
    "a field's flag": (
        {"extra_args": ("--image-min-tokens", "1024")},
        "Set the field of the registry or the settings that renders it",
    ),
    "a flag that no field renders": (
        {"extra_args": ("--no-slots",)},
        "extra_args is '--no-slots'; expected a flag other than --no-slots. Remove it: this repos",
    ),
    "a flag that is the same for all": (
        {"extra_args": ("--flash-attn", "off")},
        "Remove it: this repository sets it for every model",
    ),
    "not a number": (
        {"sampling": Sampling(top_p=float("nan"))},
        "sampling.top_p is nan; expected",
    ),
    "ttl negative": ({"ttl_s": -1}, "ttl_s is -1; expected a whole number of at least 0"),
    "no slot": ({"parallel_slots": 0}, "parallel_slots is 0"),
    "reserved flag": (
        {"extra_args": ("--port", "1")},
        "extra_args is '--port'; expected a flag other than --port",
    ),
    "reserved flag with its value": (
        {"extra_args": ("--host=0.0.0.0",)},
        "a flag other than --host",
    ),
    "key on the command line": ({"extra_args": ("--api-key", "x")}, "Put API keys into a Secret"),
    "removed flag": ({"extra_args": ("--no-mmap",)}, "llama-server dropped it"),
    "unknown flag": ({"extra_args": ("--treads", "4")}, "extra_args is '--treads'"),
    "stray word": ({"extra_args": ("4",)}, "extra_args is '4'"),
    "flag without its value": ({"extra_args": ("--threads",)}, "expected --threads VALUE"),
    "macro in a value": ({"extra_args": ("--threads", "${PORT}")}, "one line without '${'"),
    "KV types that differ": (
        {"kv_cache_type_k": "f16", "kv_cache_type_v": "q8_0"},
        "kv_cache_type_v is 'q8_0'; expected the same as kv_cache_type_k (f16)",
    ),
    "unknown KV type": ({"kv_cache_type_k": "q2"}, "kv_cache_type_k is 'q2'"),
    "macro in the description": ({"description": "${env.HOME}"}, "description is '${env.HOME}'"),
    "two lines in the name": ({"name": "a\nb"}, "name is 'a\\nb'"),
    "alias with a space": ({"aliases": ("a b",)}, "aliases is 'a b'"),
    "env name in small letters": ({"env": {"path": "x"}}, "env is 'path'; expected a name of A-Z"),
    "env name that is reserved": ({"env": {"LLAMA_API_KEY": "x"}}, "a name other than"),
    "flag in env": ({"env": {"LLAMA_ARG_TOOLS": "all"}}, "env is 'LLAMA_ARG_TOOLS'; expected a"),
    "macro in env": ({"env": {"A": "${PORT}"}}, "env.A is '${PORT}'"),
    "temperature": ({"sampling": Sampling(temperature=3.0)}, "sampling.temperature is 3.0"),
    "thinking": ({"reasoning": "maybe"}, "reasoning is 'maybe'; expected one of on, off"),
}


@pytest.mark.parametrize(("fields", "message"), BAD_FIELDS.values(), ids=BAD_FIELDS.keys())
def test_a_bad_field_is_refused_in_one_line(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        model(**fields)

    text = str(caught.value)
    assert message in text
    assert text.startswith("model '")
    assert "\n" not in text


def test_two_models_with_one_id_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"model 'a': id is 'a'; .*Rename or remove one"):
        check_registry((model(), model()))


def test_an_alias_of_two_models_is_refused_and_both_are_named() -> None:
    with pytest.raises(ConfigError, match=r"model 'b': aliases is 'x'; .*model 'a' has it"):
        check_registry((model(aliases=("x",)), model(id="b", aliases=("x",))))


def test_an_alias_that_is_another_models_id_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model 'a': aliases is 'b'"):
        check_registry((model(aliases=("b",)), model(id="b")))


def test_an_alias_given_twice_to_one_model_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model 'a' has it"):
        check_registry((model(aliases=("x", "x")),))


def test_an_empty_registry_is_refused() -> None:
    with pytest.raises(ConfigError, match="the registry is empty"):
        check_registry(())


def edited_lock(tmp_path: Path, edit: Any) -> Path:
    document = json.loads(LOCK_PATH.read_text())
    edit(document["models"])
    path = tmp_path / "models.lock.json"
    path.write_text(json.dumps(document))
    return path


def drop_sha256(models: dict[str, Any]) -> None:
    del models["qwen3vl-8b"]["files"][0]["sha256"]


def second_sha256(models: dict[str, Any]) -> None:
    models["other"] = json.loads(json.dumps(models["qwen3vl-8b"]))
    models["other"]["files"][0]["sha256"] = "0" * 64


def second_size(models: dict[str, Any]) -> None:
    models["other"] = json.loads(json.dumps(models["qwen3vl-8b"]))
    models["other"]["files"][0]["size_bytes"] += 1


def pattern(models: dict[str, Any]) -> None:
    models["qwen3vl-8b"]["files"][0]["name"] = "*Q4_K_M*.gguf"


def parent_folder(models: dict[str, Any]) -> None:
    models["qwen3vl-8b"]["files"][0]["name"] = "../x.gguf"


def misspelt(models: dict[str, Any]) -> None:
    models["qwen3vl-8b"]["files"][0]["sha265"] = "0" * 64


def null_header(models: dict[str, Any]) -> None:
    models["qwen3vl-8b"]["files"][1]["header"] = None


def no_header(models: dict[str, Any]) -> None:
    del models["qwen3vl-8b"]["files"][0]["header"]


def no_types(models: dict[str, Any]) -> None:
    models["qwen3vl-8b"]["files"][0]["header"]["tensor_types"] = []


def types_as_text(models: dict[str, Any]) -> None:
    models["qwen3vl-8b"]["files"][0]["header"]["tensor_types"] = "Q4_K"


def too_small(models: dict[str, Any]) -> None:
    models["qwen3vl-8b"]["files"][0]["header"]["parts"] = 2
    models["qwen3vl-8b"]["files"][0]["size_bytes"] = 1000


def branch(models: dict[str, Any]) -> None:
    models["qwen3vl-8b"]["revision"] = "dev"


BAD_LOCKS = {
    drop_sha256: r"model 'qwen3vl-8b', Qwen3VL-8B-Instruct-Q4_K_M\.gguf: sha256 is None",
    second_sha256: r"sha256 is '0{64}'; expected 67d1659b",
    second_size: r"size_bytes is 5027784801; expected 5027784800",
    pattern: r"name is '\*Q4_K_M\*\.gguf'; expected one exact \.gguf file",
    parent_folder: r"name is '\.\./x\.gguf'",
    misspelt: r"a file's field is 'sha265'",
    null_header: r"mmproj-\S+: header is None; expected an object",
    no_header: r"Q4_K_M\.gguf: header is None; expected an object",
    no_types: r"header\.tensor_types is \[\]; expected a list of words",
    types_as_text: r"header\.tensor_types is 'Q4_K'; expected a list of words",
    too_small: r"header\.tensor_bytes is 5021827072; expected at most size_bytes \(1000\)",
    branch: r"revision is 'dev'; expected 40 hex digits or main",
}


@pytest.mark.parametrize(
    ("edit", "message"), BAD_LOCKS.items(), ids=[edit.__name__ for edit in BAD_LOCKS]
)
def test_a_bad_lock_is_refused(tmp_path: Path, edit: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_lock(edited_lock(tmp_path, edit))


def test_a_truncated_lock_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "models.lock.json"
    text = LOCK_PATH.read_text()
    path.write_text(text[: len(text) // 2])
    with pytest.raises(ConfigError, match=r"models\.lock\.json is not complete JSON .*from git"):
        read_lock(path)


def test_a_missing_lock_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.json cannot be read"):
        read_lock(tmp_path / "gone.json")


def test_a_model_without_a_lock_entry_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model 'a' is not in models\.lock\.json"):
        lock_models((model(),), DECLARATION.lock)


def test_a_quantisation_that_is_not_locked_is_refused() -> None:
    wanted = model(
        id="qwen3vl-8b", repository="Qwen/Qwen3-VL-8B-Instruct-GGUF", quantisation="Q8_0"
    )
    with pytest.raises(ConfigError, match=r"quantisation is 'Q8_0'; .*Q4_K_M \(Qwen3VL-8B"):
        lock_models((wanted,), DECLARATION.lock)


def test_another_repository_than_the_locked_one_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model 'qwen3vl-8b': repository is 'owner/name'"):
        lock_models((model(id="qwen3vl-8b"),), DECLARATION.lock)


BAD_REGISTRIES = {
    "a bad field": "REGISTRY = (Model(id='A', repository='o/n', quantisation='Q4_K_M'),)",
    "not in the lock": "REGISTRY = (Model(id='a', repository='o/n', quantisation='Q4_K_M'),)",
    "no model": "REGISTRY = ()",
    "no tuple": "REGISTRY = Model(id='a', repository='o/n', quantisation='Q4_K_M')",
    "a syntax error": "REGISTRY = (Model(id='a' repository='o/n', quantisation='Q4_K_M'),)",
    "an unknown name": "REGISTRY = MODELS",
    "larger than the card": "REGISTRY = (Model(id='qwen3vl-8b', context=65536, "
    "repository='Qwen/Qwen3-VL-8B-Instruct-GGUF', quantisation='Q4_K_M'),)",
}


@pytest.mark.parametrize("source", BAD_REGISTRIES.values(), ids=BAD_REGISTRIES.keys())
def test_main_returns_1_with_one_line(
    tmp_path: Path,
    source: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In this process, which has imported cdktf already."""
    write_registry(tmp_path, source)
    monkeypatch.setenv("CDKTF_OUTDIR", str(tmp_path / "cdktf.out"))
    monkeypatch.setattr(llama_swap_config, "registry", registry)  # An import sets it, too.
    monkeypatch.delitem(sys.modules, registry.__name__)
    places = [str(tmp_path), *llama_swap_config.__path__]
    monkeypatch.setattr(llama_swap_config, "__path__", places)
    assert main.main() == 1
    assert_one_line(capsys.readouterr().err, tmp_path)


def test_python_main_py_exits_with_1_and_one_line(tmp_path: Path) -> None:
    for name in ("main.py", "constructs", "stacks", "in_pod"):
        (tmp_path / name).symlink_to(ROOT / name)
    package = tmp_path / "llama_swap_config"
    package.mkdir()
    for path in (ROOT / "llama_swap_config").iterdir():
        if path.is_dir():
            (package / path.name).symlink_to(path)
        elif path.name != "registry.py":
            (package / path.name).write_bytes(path.read_bytes())
    write_registry(package, BAD_REGISTRIES["a bad field"])
    runner = (
        "import runpy, sys; sys.path.insert(0, ''); runpy.run_path('main.py', None, '__main__')"
    )
    result = subprocess.run(
        [sys.executable, "-c", runner],
        cwd=tmp_path,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "CDKTF_OUTDIR": "cdktf.out"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 1, result.stderr
    assert_one_line(result.stderr, tmp_path)


def write_registry(folder: Path, source: str) -> None:
    (folder / "registry.py").write_text(
        "from llama_swap_config.fit.residency import OneAtATime\n"
        f"from llama_swap_config.model import Model\n\n{source}\nRESIDENCY = OneAtATime()\n"
    )


def assert_one_line(stderr: str, folder: Path) -> None:
    assert stderr.startswith("error: ")
    assert stderr.count("\n") == 1
    assert not list(folder.glob("cdktf.out/stacks/*"))


BAD_PRODUCTIONS = {
    "an unknown keyword": "Settings(gpu_windows=None)",
    "a name that is not imported": "GpuWindow()",
    "an import of an earlier version": (
        "__import__('llama_swap_config.cluster.gpu_tenants', fromlist=['GpuWindow']).GpuWindow"
    ),
    "a module that does not exist": "__import__('llama_swap_config.co_tenants')",
}


@pytest.mark.parametrize("value", BAD_PRODUCTIONS.values(), ids=BAD_PRODUCTIONS.keys())
def test_settings_that_python_refuses_are_one_line(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "production.py").write_text(
        f"from stacks.settings import Settings\nPRODUCTION = {value}\n"
    )
    monkeypatch.delitem(sys.modules, "stacks.production", raising=False)
    monkeypatch.setattr(stacks, "__path__", [str(tmp_path), *stacks.__path__])
    assert main.main() == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    monkeypatch.delitem(sys.modules, "stacks.production", raising=False)
