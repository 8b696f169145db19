"""Drift without servers: comparing configurations and objects, and saying it harmlessly."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from llama_swap_config.cluster.labels import CONFIG_ANNOTATION
from llama_swap_config.front_ends.router import render_router_preset
from llama_swap_config.front_ends.server_command import ServerSettings
from llama_swap_config.lock.locked import LockedModel
from ops.cli import main
from ops.commands.drift import text, working_tree
from ops.commands.drift.cluster import configuration_findings
from ops.commands.drift.configuration import UnreadableError, command_fields, compare, read
from ops.commands.drift.declared import Declared, declared_of, deploy_remedy
from ops.commands.drift.difference import Finding, Source, Value, merge, value_text
from ops.commands.drift.object_fields import compare_objects, last_writer
from ops.commands.drift.run import Ask, Drift, SourceState, drift
from ops.commands.drift.terraform import change_findings
from ops.commands.drift.workloads import pod_findings, window
from ops.report.redaction import MARK
from ops.terraform.changes import read_changes
from tests.declaration.frozen import DECLARATION
from tests.declaration.settings import SETTINGS

KEY = "llama-swap.yaml"
HOSTILE = "`\x1b[31m</code>\n| @everyone www.evil.example <script> " + "x" * 100_000


@pytest.fixture(scope="module")
def declared(production: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Declared:
    return declared_of(SETTINGS, DECLARATION, production, directory=tmp_path_factory.mktemp("app"))


@pytest.fixture
def config(declared: Declared) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(declared.program.config)
    return document


def differences(declared: Declared, document: dict[str, Any]) -> list[tuple[Any, ...]]:
    changed = yaml.safe_dump(document, sort_keys=False)
    return [tuple(each) for each in compare(read(KEY, changed), declared.configuration)]


# ---- Configurations --------------------------------------------------------------------------


def test_another_order_form_or_spelling_is_no_difference(
    declared: Declared, config: dict[str, Any]
) -> None:
    models = config["models"]
    config["models"] = dict(reversed(models.items()))
    cmd = models["qwen3vl-4b"]["cmd"]
    models["qwen3vl-4b"]["cmd"] = cmd.replace("--ctx-size", "-c").replace("-np", "--parallel")
    assert differences(declared, config) == []
    assert (
        list(compare(read(KEY, f"# by hand\n{declared.program.config}"), declared.configuration))
        == []
    )


def test_each_field_of_one_model_is_told(declared: Declared, config: dict[str, Any]) -> None:
    entry = config["models"]["qwen3vl-4b"]
    entry["cmd"] = entry["cmd"].replace(
        "--ctx-size 3072", "--ctx-size 4096 --seed -1 --kv-unified"
    )
    entry["ttl"] = 60
    entry["env"] = ["A=1"]
    del entry["cmdStop"]
    found = {
        (field, value, wanted) for model, field, value, wanted in differences(declared, config)
    }
    stop = declared.configuration.models["qwen3vl-4b"]["cmdStop"]
    assert found == {
        ("--ctx-size", "4096", "3072"),
        ("--seed", "-1", "not set"),
        ("--kv-unified", "on", "not set"),
        ("ttl", "60", "600"),
        ("env.A", "1", "not set"),
        ("cmdStop", "not set", stop),
    }


def test_models_that_come_and_go(declared: Declared, config: dict[str, Any]) -> None:
    config["models"]["stranger"] = config["models"].pop("qwen3vl-8b")
    assert differences(declared, config) == [
        ("qwen3vl-8b", "presence", "absent", "present"),
        ("stranger", "presence", "present", "absent"),
    ]


def test_what_all_models_share_is_told_once(declared: Declared, config: dict[str, Any]) -> None:
    config["macros"]["llama_server"] += " --threads 4"
    config["globalTTL"] = 60
    assert differences(declared, config) == [
        ("all models", "--threads", "4", "not set"),
        (None, "globalTTL", "60", "600"),
    ]


def test_macros_are_put_in_as_llama_swap_does(declared: Declared) -> None:
    fields = declared.configuration.models["qwen3vl-4b"]
    assert fields["program"] == "env -C /models/qwen3vl-4b /app/llama-server"
    assert fields["--alias"] == "qwen3vl-4b"
    assert fields["--jinja"] == "on"
    assert "--port" not in fields


def test_the_routers_file_is_read_alike(locked: tuple[LockedModel, ...]) -> None:
    rendered = render_router_preset(locked, ServerSettings())
    wanted = read("router-preset.ini", rendered)
    assert wanted.models["qwen3vl-4b"]["--ctx-size"] == "3072"
    assert wanted.models["qwen3vl-4b"]["-ngl"] == "99"
    assert wanted.models["qwen3vl-4b"]["-np"] == "1"
    head, _, last = rendered.rpartition("ctx-size = 3072")
    found = read("router-preset.ini", f"; by hand\n{head}c = 4096{last}")
    assert list(compare(found, wanted)) == [(locked[-1].model.id, "--ctx-size", "4096", "3072")]


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
def test_what_is_no_configuration_is_one_line(declared: Declared, content: str) -> None:
    with pytest.raises(UnreadableError):
        read(KEY, content)
    at = Value(text="", where="in the ConfigMap")
    (finding,) = configuration_findings(declared, content, at)
    assert finding.subject == "ConfigMap llama-swap"
    assert finding.found.text.startswith("not readable (")
    assert len(finding.found.text) < 300


@pytest.mark.parametrize("content", ["", "a = b", "[m]\nnonsense"])
def test_what_is_no_preset_is_refused(content: str) -> None:
    with pytest.raises(UnreadableError):
        read("router-preset.ini", content)


def test_a_flag_given_twice_keeps_both_values() -> None:
    words = ["/app/llama-server", "--override-kv", "a=1", "--override-kv", "b=2", "--port", "5800"]
    assert command_fields(words) == {"program": "/app/llama-server", "--override-kv": "a=1 b=2"}


# ---- Objects ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "declared_as"),
    [
        ({"cpu": "1"}, {"cpu": "1000m"}),
        ({"memory": "4096Mi"}, {"memory": "4Gi"}),
        ({"a": 1, "added": "by the API server"}, {"a": 1}),
        ({"mountOptions": ["hard", "noatime"]}, {"mountOptions": ["noatime", "hard"]}),
        ({"values": ["b", 2, 10]}, {"values": [10, 2, "b"]}),
        ({}, {"a": {}}),
        ({"port": 8080}, {"port": "8080"}),
    ],
)
def test_what_the_api_server_writes_otherwise_is_the_same(found: Any, declared_as: Any) -> None:
    assert list(compare_objects(found, declared_as)) == []


def test_fields_are_named_as_kubectl_does() -> None:
    declared_as = {
        "metadata": {"labels": {"a.b/c": "x"}},
        "spec": {
            "containers": [{"name": "one", "image": "i", "args": ["a", "b"]}],
            "capacity": "1Gi",
        },
    }
    found = {
        "metadata": {},
        "spec": {
            "containers": [{"name": "one", "image": "j", "args": ["b", "a"]}, {"name": "two"}],
            "capacity": "2Gi",
        },
    }
    assert [
        (each.name, each.found, each.declared) for each in compare_objects(found, declared_as)
    ] == [
        ("metadata.labels", "not set", "present"),
        ("spec.containers[one].image", "j", "i"),
        ("spec.containers[one].args", "b a", "a b"),
        ("spec.containers[two]", "present", "not set"),
        ("spec.capacity", "2Gi", "1Gi"),
    ]


def test_who_wrote_a_field_last() -> None:
    container: dict[str, Any] = {'k:{"name":"one"}': {"f:image": {}, "f:name": {}}}
    document = {
        "metadata": {
            "managedFields": [
                {
                    "manager": "HashiCorp",
                    "time": "2026-11-20T10:00:00Z",
                    "fieldsV1": {"f:data": {"f:a": {}, "f:b": {}}},
                },
                {
                    "manager": "kubectl-edit",
                    "time": "2026-11-24T21:03:00Z",
                    "fieldsV1": {"f:data": {"f:a": {}}, "f:spec": {"f:containers": container}},
                },
                {
                    "manager": "kube-controller-manager",
                    "time": "2026-11-25T00:00:00Z",
                    "subresource": "status",
                    "fieldsV1": {"f:data": {"f:a": {}}},
                },
            ]
        }
    }
    assert last_writer(document, ("data", "a"))[0] == "kubectl-edit"
    assert last_writer(document, ("data", "b")) == ("HashiCorp", 1795168800.0)
    assert last_writer(document, ("spec", "containers", "[one]", "image"))[0] == "kubectl-edit"
    assert last_writer(document, ("spec", "replicas")) == ("", None)
    assert last_writer({}, ("data", "a")) == ("", None)


def pod(image_id: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "llama-swap-1", "namespace": "llama-cpp"},
        "status": {
            "phase": "Running",
            "startTime": "2026-11-24T20:00:00Z",
            "containerStatuses": [{"name": "llama-swap", "imageID": image_id}],
        },
    }


def test_an_older_pod_is_restarted_without_a_change_that_would_be_drift_itself(
    declared: Declared,
) -> None:
    older = pod("")
    older["metadata"]["annotations"] = {CONFIG_ANNOTATION: "0" * 64}
    config_map = {"metadata": {}, "data": {KEY: declared.program.config}}
    (found,) = pod_findings(declared, older, config_map)
    assert "kubectl -n llama-cpp delete pod llama-swap-1 takes the ConfigMap's" in found.remedy


def test_what_is_not_declared_is_taken_away(declared: Declared) -> None:
    there, nothing = Value(text="4", where="here"), Value(text="not set", where="declared")
    remedy = deploy_remedy("--threads", there, nothing, "registry.py")
    assert remedy == "python -m ops deploy takes it away, or declare 4 in registry.py"


def test_the_image_that_the_kubelet_pulled_stands_for_the_build(declared: Declared) -> None:
    right = declared.settings.llama_swap_image.partition("@")[2]
    for same in (f"ghcr.io/x@{right}", f"docker-pullable://ghcr.io/x@{right}", "sha256:0a", ""):
        assert list(pod_findings(declared, pod(same), None)) == []
    (found,) = pod_findings(declared, pod(f"ghcr.io/x@sha256:{'ab' * 32}"), None)
    assert (found.subject, found.field) == ("Pod llama-swap-1", "imageID")
    assert found.found.text == "sha256:abababababab"
    assert "its engine may be another build than llama.cpp b10524" in found.remedy


@pytest.mark.parametrize("record", ["", "{", "[]", '{"deadline": "soon"}'])
def test_a_window_whose_record_cannot_be_read_is_told(record: str) -> None:
    lease = {"metadata": {"annotations": {"llama-cpp-infra/gpu-window": record}}, "spec": {}}
    (found,), notes = window(lease, 0.0)
    assert found.found.text == "still open, without a deadline that can be read"
    assert found.found.who == "nobody any more"
    assert notes == []


def change(actions: list[str], before: Any, after: Any, kind: str) -> dict[str, Any]:
    return {
        "address": f"{kind}.x",
        "type": kind,
        "name": "x",
        "change": {"actions": actions, "before": before, "after": after},
    }


def test_a_plan_that_renames_is_one_that_goes_and_one_that_comes(declared: Declared) -> None:
    plan = [
        change(
            ["delete", "create"],
            {"metadata": [{"name": "old", "namespace": "n"}], "data": {"a": "1"}},
            {"metadata": [{"name": "new", "namespace": "n"}], "data": {"a": "2"}},
            "kubernetes_config_map_v1",
        )
    ]
    findings = [
        (each.subject, each.found.text, each.declared.text)
        for of in read_changes({"resource_changes": plan})
        for each in change_findings(declared, of)
    ]
    assert findings == [
        ("ConfigMap old", "present", "absent"),
        ("ConfigMap new", "absent", "present"),
    ]


def test_a_plans_fields_are_spelled_as_kubernetes_does(declared: Declared) -> None:
    def deployment(image: str, label: str | None, replicas: str) -> dict[str, Any]:
        container = {"name": "llama-swap", "image": image, "image_pull_policy": "Always"}
        template = [{"spec": [{"container": [container], "node_name": None}]}]
        labels = {"x": label} if label else {}
        return {
            "metadata": [{"name": "llama-swap", "labels": labels, "uid": "u"}],
            "spec": [{"replicas": replicas, "template": template}],
        }

    after = deployment("i@sha256:" + "a" * 64, None, "1")
    del after["metadata"][0]["uid"]
    before = deployment("i@sha256:" + "b" * 64, "y", "0")
    plan = [change(["update"], before, after, "kubernetes_deployment_v1")]
    findings = [
        (each.field, each.found.text, each.declared.text)
        for of in read_changes({"resource_changes": plan})
        for each in change_findings(declared, of)
    ]
    assert findings == [
        ("metadata.labels.x", "y", "not set"),
        (
            "spec.template.spec.containers[llama-swap].image",
            "i@sha256:bbbbbbbbbbbb",
            "i@sha256:aaaaaaaaaaaa",
        ),
    ]


# ---- Saying it -------------------------------------------------------------------------------


def finding(subject: str, field: str, found: Value, wanted: Value) -> Finding:
    return Finding(subject=subject, field=field, found=found, declared=wanted, remedy="do it")


def at(text_: str, where: str, time_s: float | None = None, who: str = "") -> Value:
    return Value(text=text_, where=where, time_s=time_s, who=who)


def test_sources_of_one_field_share_a_line_that_says_who_is_newer() -> None:
    wanted = at("3072", "declared", 1000, "commit 930f1e8")
    edited = at("4096", "in the ConfigMap", 90_000, "kubectl-edit")
    running = at("2048", "in the running server")
    found: list[tuple[Source, Finding]] = [
        ("cluster", finding("model a", "--ctx-size", edited, wanted)),
        ("server", finding("model a", "--ctx-size", running, wanted)),
    ]
    (one,) = merge(found)
    assert one.newer == "cluster"
    assert one.line == (
        "model a: --ctx-size is 4096 in the ConfigMap (kubectl-edit, 1970-01-02 01:00Z), 2048 in "
        "the running server, 3072 declared (commit 930f1e8, 1970-01-01 00:16Z): the cluster is "
        "newer; do it"
    )


@pytest.mark.parametrize(
    ("found_s", "declared_s", "newer", "said"),
    [
        (2.0, 1.0, "cluster", "the cluster is newer; do it"),
        (1.0, 2.0, "declared", "the working tree is newer; do it"),
        (None, 2.0, None, "declared (1970-01-01 00:00Z): do it"),
        (1.0, None, None, "declared: do it"),
    ],
)
def test_who_is_newer_is_said_where_it_is_known(
    found_s: float | None, declared_s: float | None, newer: str | None, said: str
) -> None:
    values = at("1", "there", found_s), at("2", "declared", declared_s)
    (one,) = merge([("cluster", finding("a", "b", *values))])
    assert one.newer == newer
    assert one.line.endswith(said)


@pytest.mark.parametrize(
    "field",
    ["--api-key", "apiKeys", "env.HF_TOKEN", "spec.env[DB_PASSWORD].value", "--hf-token"],
)
def test_a_secret_is_not_shown(field: str) -> None:
    assert value_text(field, "s3cret") == MARK


def test_what_only_sounds_like_a_secret_is_shown() -> None:
    assert value_text("--image-max-tokens", "1024") == "1024"
    assert value_text("envFrom[0].secretRef.name", "keys") == "keys"
    assert value_text("env.LLAMA_API_KEY", "${env.KEY}") == "${env.KEY}"
    assert value_text("proxy", "http://ann:pw@host/x") == "http://ann:[redacted]@host/x"


def test_two_long_values_are_told_apart() -> None:
    one, other = value_text("name", "x" * 100_000), value_text("name", "x" * 99_999 + "y")
    assert one != other
    assert len(one) < 130
    assert "100000 characters" in one


@pytest.fixture
def hostile(declared: Declared, config: dict[str, Any]) -> Drift:
    config["models"]["qwen3vl-4b"]["name"] = HOSTILE
    config["models"][HOSTILE[:300]] = {"cmd": "x"}
    content = yaml.safe_dump(config, sort_keys=False)
    findings = configuration_findings(declared, content, at("", "in the ConfigMap"))
    return Drift(
        models=("qwen3vl-4b",),
        sources=(
            SourceState(source="cluster", state="asked"),
            SourceState(source="server", state="unreachable", reason=HOSTILE[:50]),
        ),
        differences=merge([("cluster", each) for each in findings]),
        notes=(),
    )


def test_hostile_values_are_harmless_on_a_terminal(hostile: Drift) -> None:
    console = Console(width=120, force_terminal=True, color_system=None)
    with console.capture() as capture:
        text.show(console, hostile)
    shown = capture.get()
    assert "model qwen3vl-4b: name is `?[31m</code> | @everyone" in shown
    assert "\x1b[31m" not in shown
    assert len(shown) < 4000


def test_hostile_values_are_harmless_in_markdown(hostile: Drift) -> None:
    shown = text.as_markdown(hostile)
    values = re.findall("<code>[^<>]*</code>", shown)
    assert len(values) == shown.count("<code>") == shown.count("</code>")
    entities = re.sub(r"&#\d+;|</?code>", "", shown)
    for begins in ("`", "<", "@", "](", "http://", "www.", "\x1b"):
        assert begins not in entities
    rows = [line for line in shown.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {5}
    assert len(shown) < 6000


def test_a_comment_holds_any_number_of_differences(hostile: Drift) -> None:
    findings = [
        finding(f"model {number:05}", "presence", at("present", "there"), at("absent", "declared"))
        for number in range(5000)
    ]
    many = replace(hostile, differences=merge([("cluster", each) for each in findings]))
    shown = text.as_markdown(many)
    assert len(shown) < 60_000
    assert re.search(r"- and \d{4} more, which --json has", shown)
    assert len(text.as_json(many)["differences"]) == 5000


def test_the_names_that_a_program_reads(hostile: Drift) -> None:
    document = json.loads(json.dumps(text.as_json(hostile)))
    assert set(document) == {"drift", "sources", "rows", "differences", "notes"}
    assert document["drift"] is True
    assert document["sources"][0] == {"source": "cluster", "state": "asked", "reason": ""}
    assert document["rows"][0] == {
        "name": "qwen3vl-4b",
        "declared": True,
        "cluster": "differs",
        "server": "unreachable",
    }
    names = {"subject", "field", "found", "declared", "newer", "remedy", "line"}
    assert {frozenset(each) for each in document["differences"]} == {frozenset(names)}
    values = {"source", "value", "where", "who", "time"}
    assert set(document["differences"][0]["found"][0]) == values


# ---- What is asked ---------------------------------------------------------------------------


@pytest.fixture
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PG_CONN_STR", "PGHOST", "KUBE_CONFIG_PATH", "KUBE_CTX", "LLAMA_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("nothing_named")
def test_nothing_to_ask_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drift"]) == 1
    said = capsys.readouterr().err
    for way in ("set PG_CONN_STR", "set KUBE_CONFIG_PATH", "pass --volume DIR", "pass --url"):
        assert way in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--source", "moon"], "allowed: terraform, cluster, volume, server"),
        (["--json", "--markdown"], "cannot be combined with"),
    ],
)
def test_wrong_usage(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drift", *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.usefixtures("nothing_named")
def test_a_source_that_is_named_and_cannot_be_asked_is_unreachable(declared: Declared) -> None:
    found = drift(
        declared, Ask(sources=("terraform", "cluster", "volume", "server")), say=lambda _: None
    )
    reasons = {each.source: each.reason for each in found.unreachable}
    assert reasons["terraform"].startswith("PG_CONN_STR is not set")
    assert reasons["cluster"].startswith("KUBE_CONFIG_PATH is not set")
    assert reasons["server"].startswith("KUBE_CONFIG_PATH is not set")
    assert reasons["volume"] == "pass --volume DIR, where the volume is mounted"


@pytest.mark.usefixtures("nothing_named")
def test_a_source_that_hangs_does_not_hold_the_others(
    declared: Declared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    over = threading.Event()

    def hang(*_arguments: object) -> None:
        over.wait(30)

    monkeypatch.setattr("ops.commands.drift.volume.look", hang)
    ask = Ask(volume=tmp_path, url="http://127.0.0.1:1", timeout_s=0.5)
    try:
        found = drift(declared, ask, say=lambda _: None)
    finally:
        over.set()
    reasons = {each.source: each.reason for each in found.unreachable}
    assert reasons["volume"] == "no answer within 0.5 s"
    assert reasons["server"].startswith("cannot connect to http://127.0.0.1:1")


# ---- The working tree ------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A clone whose upstream is one commit ahead, and known to be."""
    for name, value in (("AUTHOR", "ann"), ("COMMITTER", "ann")):
        monkeypatch.setenv(f"GIT_{name}_NAME", value)
        monkeypatch.setenv(f"GIT_{name}_EMAIL", f"{value}@localhost")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    upstream, clone = tmp_path / "upstream", tmp_path / "clone"
    upstream.mkdir()
    git(upstream, "init", "-q", "-b", "main")
    (upstream / "a").write_text("1")
    git(upstream, "add", "a")
    git(upstream, "commit", "-qm", "one")
    git(tmp_path, "clone", "-q", str(upstream), str(clone))
    git(upstream, "commit", "-qm", "two", "--allow-empty")
    git(clone, "fetch", "-q")
    monkeypatch.setattr(working_tree, "ROOT", clone)
    working_tree.commit_of.cache_clear()
    yield clone
    working_tree.commit_of.cache_clear()


def git(where: Path, *words: str) -> str:
    result = subprocess.run(["git", *words], cwd=where, capture_output=True, text=True, check=True)
    return result.stdout.strip()


def test_a_stale_or_edited_tree_is_a_note(tree: Path) -> None:
    (behind,) = working_tree.notes()
    assert behind.startswith("the working tree is 1 commit behind origin/main: ")
    git(tree, "merge", "-q", "origin/main")
    assert list(working_tree.notes()) == []
    (tree / "a").write_text("2")
    assert list(working_tree.notes()) == ["the working tree has 1 edited file not committed"]


def test_who_declared_a_file_and_when(tree: Path) -> None:
    commit, time_s = git(tree, "log", "-1", "--format=%h %ct", "--", "a").split()
    assert working_tree.commit_of("a") == (f"commit {commit}", float(time_s))
    working_tree.commit_of.cache_clear()
    (tree / "a").write_text("2")
    assert working_tree.commit_of("a") == ("not committed", None)
    assert working_tree.commit_of("nowhere") == ("", None)
