"""A front end's configuration, read back and compared model by model."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from llama_swap_config.front_ends.router import render_router_preset
from llama_swap_config.front_ends.server_command import ServerSettings
from llama_swap_config.lock.locked import LockedModel
from ops.commands.drift.cluster import configuration_findings
from ops.commands.drift.configuration import UnreadableError, command_fields, compare, read
from ops.commands.drift.declared import Declared
from ops.commands.drift.difference import Value

KEY = "llama-swap.yaml"


def differences(declared: Declared, document: dict[str, Any]) -> list[tuple[Any, ...]]:
    changed = yaml.safe_dump(document, sort_keys=False)
    return [tuple(mismatch) for mismatch in compare(read(KEY, changed), declared.configuration)]


def test_order_and_spelling_do_not_differ(declared: Declared, config: dict[str, Any]) -> None:
    models = config["models"]
    config["models"] = dict(reversed(models.items()))
    cmd = models["qwen3vl-4b"]["cmd"]
    models["qwen3vl-4b"]["cmd"] = cmd.replace("--ctx-size", "-c").replace("-np", "--parallel")
    assert differences(declared, config) == []
    assert (
        list(compare(read(KEY, f"# by hand\n{declared.program.config}"), declared.configuration))
        == []
    )


def test_every_changed_field_of_a_model_is_listed(
    declared: Declared, config: dict[str, Any]
) -> None:
    entry = config["models"]["qwen3vl-4b"]
    entry["cmd"] = entry["cmd"].replace(
        "--ctx-size 3072", "--ctx-size 4096 --seed -1 --kv-unified"
    )
    entry["ttl"] = 60
    entry["env"] = ["A=1"]
    del entry["cmdStop"]
    fields = {
        (field, value, wanted) for model, field, value, wanted in differences(declared, config)
    }
    stop = declared.configuration.models["qwen3vl-4b"]["cmdStop"]
    assert fields == {
        ("--ctx-size", "4096", "3072"),
        ("--seed", "-1", "not set"),
        ("--kv-unified", "on", "not set"),
        ("ttl", "60", "600"),
        ("env.A", "1", "not set"),
        ("cmdStop", "not set", stop),
    }


def test_added_and_removed_models_are_listed(declared: Declared, config: dict[str, Any]) -> None:
    config["models"]["stranger"] = config["models"].pop("qwen3vl-8b")
    assert differences(declared, config) == [
        ("qwen3vl-8b", "presence", "absent", "present"),
        ("stranger", "presence", "present", "absent"),
    ]


def test_a_difference_of_all_models_is_listed_once(
    declared: Declared, config: dict[str, Any]
) -> None:
    config["macros"]["llama_server"] += " --threads 4"
    config["globalTTL"] = 60
    assert differences(declared, config) == [
        ("all models", "--threads", "4", "not set"),
        (None, "globalTTL", "60", "600"),
    ]


def test_macros_are_expanded_as_llama_swap_does(declared: Declared) -> None:
    fields = declared.configuration.models["qwen3vl-4b"]
    assert fields["program"] == "env -C /models/qwen3vl-4b /app/llama-server"
    assert fields["--alias"] == "qwen3vl-4b"
    assert fields["--jinja"] == "on"
    assert "--port" not in fields


def test_the_routers_preset_is_compared_alike(locked: tuple[LockedModel, ...]) -> None:
    rendered = render_router_preset(locked, ServerSettings())
    wanted = read("router-preset.ini", rendered)
    assert wanted.models["qwen3vl-4b"]["--ctx-size"] == "3072"
    assert wanted.models["qwen3vl-4b"]["-ngl"] == "99"
    assert wanted.models["qwen3vl-4b"]["-np"] == "1"
    head, _, last = rendered.rpartition("ctx-size = 3072")
    edited = read("router-preset.ini", f"; by hand\n{head}c = 4096{last}")
    assert list(compare(edited, wanted)) == [(locked[-1].model.id, "--ctx-size", "4096", "3072")]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "models: 3",
        "models: {a: b}",
        'models: {a: {cmd: "llama-server \'x"}}',
        "{",
        "[" * 400,
        "a: &a [x]\nmodels: {b: {cmd: *a}}",
        "macros: {a: " + "x" * 4000 + ", b: '" + "${a}" * 2000 + "'}\nmodels: {m: {cmd: '${b}'}}",
    ],
)
def test_an_unreadable_configuration_is_one_short_finding(
    declared: Declared, content: str
) -> None:
    with pytest.raises(UnreadableError):
        read(KEY, content)
    at = Value(text="", where="in the ConfigMap")
    (finding,) = configuration_findings(declared, content, at)
    assert finding.subject == "ConfigMap llama-swap"
    assert finding.found.text.startswith("not readable (")
    assert len(finding.found.text) < 300


@pytest.mark.parametrize("content", ["", "a = b", "[m]\nnonsense"])
def test_an_unreadable_preset_is_refused(content: str) -> None:
    with pytest.raises(UnreadableError):
        read("router-preset.ini", content)


def test_a_flag_given_twice_keeps_both_values() -> None:
    words = ["/app/llama-server", "--override-kv", "a=1", "--override-kv", "b=2", "--port", "5800"]
    assert command_fields(words) == {"program": "/app/llama-server", "--override-kv": "a=1 b=2"}
