"""What CI may do: the linters find what they must, and the tiers keep apart what they hold."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.lint_workflows import lint, main
from tests.conftest import ROOT
from tests.make_targets import TARGETS

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
PIPELINES = sorted((ROOT / ".woodpecker").glob("*.y*ml"))
TIER_1 = ("pull-request.yml", "pull-request.yaml")
MAKE = r"(?:\.ci/with-kubeconfig )?make (?P<target>[a-z-]+)"
ALLOWED = (
    MAKE,
    r'head -c 1000000 (plan-report/plan|drift-report/drift)\.md >> "\$GITHUB_STEP_SUMMARY"',
    r"python3 -m ops\.sticky_comment --stack llama-cpp --file "
    r'(plan-report/comment\.md|"\$CI_WORKSPACE/plan-report/comment\.md")',
    # Woodpecker has no actions for these.
    r"cat plan-report/plan\.md",
    r"install -D /bin/terraform \.terraform-bin/terraform",
    r'export PATH="\$PWD/\.terraform-bin:\$PATH"',
    r"cd /tmp/main",
    re.escape(
        "git -c 'credential.helper=!f() { echo username=ci; echo \"password=$FORGE_TOKEN\"; }; f' "
    )
    + r"(fetch --quiet origin main"
    r'|clone --quiet --depth 1 --branch main "\$CI_REPO_CLONE_URL" /tmp/main)',
)


def read(path: Path) -> dict[str, Any]:
    # YAML 1.1 reads the key `on` as true.
    document: dict[str, Any] = yaml.load(path.read_text(), yaml.BaseLoader)
    return document


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    by_name: dict[str, dict[str, Any]] = read(path)["jobs"]
    return by_name


def lines(path: Path) -> Iterator[str]:
    """Every line that a shell runs."""
    document = read(path)
    for job in document.get("jobs", {}).values():
        for step in job["steps"]:
            yield from step.get("run", "").splitlines()
    for step in document.get("steps", ()):
        yield from step.get("commands", ())


def test_both_forges_have_the_three_workflows() -> None:
    names = {"pull-request", "plan", "drift"}
    assert {path.stem for path in WORKFLOWS} == {path.stem for path in PIPELINES} == names


def test_both_linters_find_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "complaints"),
    [
        (r"actions/checkout@\w{40} # v\S+", "actions/checkout@v7", ("[unpinned-uses]",)),
        (
            r"run: make check",
            "run: echo ${{ github.head_ref }}",
            ("[template-injection]", "potentially untrusted"),
        ),
        (r"timeout-minutes: 20", "timeout-minuets: 20", ('unexpected key "timeout-minuets"',)),
        (r"pull_request:", "pull_request_target:", ("[dangerous-triggers]",)),
        (r"persist-credentials: false", "fetch-depth: 1", ("[artipacked]",)),
        (r"github\.sha", "github.shha", ('property "shha" is not defined',)),
    ],
)
def test_a_planted_mistake_fails_the_check(
    tmp_path: Path, old: str, new: str, complaints: tuple[str, ...]
) -> None:
    text = (ROOT / ".github" / "workflows" / "pull-request.yml").read_text()
    planted, count = re.subn(old, new, text, count=1)
    assert count == 1
    path = tmp_path / ".github" / "workflows" / "pull-request.yml"
    path.parent.mkdir(parents=True)
    path.write_text(planted)
    output = lint([path], say=print)
    for complaint in complaints:
        assert complaint in output
    assert main([str(path)]) == 1


@pytest.mark.parametrize("path", [*WORKFLOWS, *PIPELINES], ids=lambda path: path.name)
def test_a_shell_runs_make_targets_that_exist_and_a_few_known_lines(path: Path) -> None:
    commands = list(lines(path))
    assert commands
    for line in commands:
        assert any(re.fullmatch(pattern, line) for pattern in ALLOWED), line
        if match := re.fullmatch(MAKE, line):
            assert match["target"] in TARGETS, line


@pytest.mark.parametrize("path", [*WORKFLOWS, *PIPELINES], ids=lambda path: path.name)
def test_no_expression_is_put_into_a_shell_script(path: Path) -> None:
    assert not [line for line in lines(path) if "${" in line]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_a_commit_with_its_version_beside_it(path: Path) -> None:
    uses = re.findall(r"uses: *(.*)", path.read_text())
    assert uses
    for use in uses:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use), use


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_no_workflow_runs_a_forks_code_with_our_rights(path: Path) -> None:
    on = read(path)["on"]
    assert set(on) <= {"pull_request", "push", "schedule", "workflow_dispatch"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_permissions_are_named_and_only_the_comment_writes(path: Path) -> None:
    assert read(path)["permissions"] in ({}, "{}", {"contents": "read"})
    for name, job in jobs(path).items():
        granted = job.get("permissions", {"contents": "read"})
        if (path.name, name) == ("plan.yml", "comment"):
            assert granted == {"contents": "read", "pull-requests": "write"}
        else:
            assert granted == {"contents": "read"}, name
        assert int(job["timeout-minutes"]) <= 90


def test_tier_1_sees_no_secret() -> None:
    for path in (*WORKFLOWS, *PIPELINES):
        text = path.read_text()
        secret = re.findall(r"secrets\.|from_secret|github\.token|environment: ", text)
        assert bool(secret) is (path.name not in TIER_1), path.name


@pytest.mark.parametrize("name", ["plan.yml", "drift.yml"])
def test_a_secret_is_in_the_one_step_that_needs_it(name: str) -> None:
    path = ROOT / ".github" / "workflows" / name
    (job, *_) = jobs(path).values()
    assert "secrets." not in str({key: job[key] for key in job if key != "steps"})
    holding = [step["run"] for step in job["steps"] if "secrets." in str(step)]
    target = "plan-report" if name == "plan.yml" else "drift"
    assert holding == [f".ci/with-kubeconfig make {target}"]


def test_tier_2_is_for_branches_of_this_repository() -> None:
    condition = "github.event.pull_request.head.repo.full_name == github.repository"
    assert jobs(ROOT / ".github" / "workflows" / "plan.yml")["plan"]["if"].startswith(condition)
    # Woodpecker does not say where a pull request comes from; only who may write here can push.
    when = read(ROOT / ".woodpecker" / "plan.yaml")["when"]
    assert when == [{"event": "push", "branch": {"exclude": "main"}}]


def test_the_comment_is_posted_by_the_bases_program_and_without_the_branchs_secrets() -> None:
    comment = jobs(ROOT / ".github" / "workflows" / "plan.yml")["comment"]
    checkout = next(step for step in comment["steps"] if "actions/checkout@" in step["uses"])
    assert checkout["with"] == {
        "ref": "${{ github.event.pull_request.base.sha }}",
        "persist-credentials": "false",
    }
    assert comment["needs"] == "plan"
    assert "environment" not in comment
    assert "secrets." not in str(comment)


def test_a_branchs_code_and_the_nightly_secrets_have_different_runners() -> None:
    """A program that a branch left on a persistent runner could read the next job's secrets."""
    runners = {
        name: next(iter(jobs(ROOT / ".github" / "workflows" / f"{name}.yml").values()))["runs-on"]
        for name in ("plan", "drift")
    }
    assert runners == {
        name: f"${{{{ vars.{name.upper()}_RUNNER || 'ubuntu-latest' }}}}" for name in runners
    }


def test_the_nightly_run_has_the_endpoints_key_on_both_forges() -> None:
    (job,) = jobs(ROOT / ".github" / "workflows" / "drift.yml").values()
    (env,) = (step["env"] for step in job["steps"] if "LLAMA_API_KEY" in step.get("env", {}))
    assert env["LLAMA_API_KEY"] == "${{ secrets.LLAMA_API_KEY }}"
    steps = read(ROOT / ".woodpecker" / "drift.yaml")["steps"]
    (environment,) = (step["environment"] for step in steps if step["name"] == "drift")
    assert environment["LLAMA_API_KEY"] == {"from_secret": "llama_api_key"}


def test_the_reader_makes_no_schema_table_or_index() -> None:
    """Its role may not, and Terraform's `init` would try."""
    for name in (".github/workflows/plan.yml", ".github/workflows/drift.yml"):
        (job, *_) = jobs(ROOT / name).values()
        (env,) = (step["env"] for step in job["steps"] if "PGPASSWORD" in step.get("env", {}))
        assert {key: env[key] for key in env if key.startswith("PG_SKIP")} == {
            f"PG_SKIP_{what}_CREATION": "true" for what in ("SCHEMA", "TABLE", "INDEX")
        }


@pytest.fixture
def recipes(tmp_path: Path) -> dict[str, str]:
    """The Makefile with an `ops` that only notes its arguments and ends as $CODE says."""
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / ".installed").touch()
    shutil.copy(ROOT / "Makefile", tmp_path)
    for prerequisite in ("requirements.txt", "tools/uv-requirements.txt"):
        (tmp_path / prerequisite).parent.mkdir(exist_ok=True)
        (tmp_path / prerequisite).touch()
        os.utime(tmp_path / prerequisite, (0, 0))
    stub = tmp_path / ".venv" / "bin" / "python"
    stub.write_text(
        '#!/bin/sh\nprintf "%s\\n" "$@" > arguments\nmkdir -p plan-report\nexit "${CODE:-0}"\n'
    )
    stub.chmod(0o755)
    kept = ("PATH", "HOME", "LANG")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"IN": str(tmp_path)}


def make(target: str, recipes: dict[str, str], **env: str) -> tuple[int, list[str]]:
    """Run a target; its exit code, and what `ops` was given."""
    directory = Path(recipes["IN"])
    result = subprocess.run(
        ["make", "-s", target],
        cwd=directory,
        env=recipes | env,
        capture_output=True,
        text=True,
        check=False,
    )
    noted = directory / "arguments"
    return result.returncode, noted.read_text().splitlines() if noted.exists() else []


PLAN = ["-m", "ops", "plan", "--report", "plan-report"]


def test_plan_report_passes_for_changes_and_fails_for_an_error(recipes: dict[str, str]) -> None:
    assert make("plan-report", recipes) == (0, PLAN)
    assert make("plan-report", recipes, CODE="2")[0] == 0
    assert make("plan-report", recipes, CODE="1")[0] != 0


@pytest.mark.parametrize("state", ["PG_CONN_STR", "PGHOST"])
def test_plan_report_makes_the_real_plan_where_state_and_cluster_are_named(
    recipes: dict[str, str], state: str
) -> None:
    env = {state: "postgresql.dbaas", "KUBE_CONFIG_PATH": "/k"}
    assert make("plan-report", recipes, **env) == (0, [*PLAN, "--refresh"])


@pytest.mark.parametrize("only", ["PG_CONN_STR", "PGHOST", "KUBE_CONFIG_PATH"])
def test_plan_report_does_not_skip_the_real_plan_for_a_missing_variable(
    recipes: dict[str, str], only: str
) -> None:
    code, asked = make("plan-report", recipes, **{only: "x", "refresh": "--help"})
    assert code != 0
    assert asked == []
    assert make("plan-report", recipes, refresh="--help") == (0, PLAN)


@pytest.mark.parametrize(
    "base",
    [
        "origin/main",
        "$(touch pwned)",
        "`touch pwned`",
        '"; touch pwned; "',
        "$(shell touch pwned)",
        "a b\tc",
        "--help",
        "$$PATH",
    ],
)
def test_a_hostile_base_stays_one_argument(recipes: dict[str, str], base: str) -> None:
    assert make("plan-report", recipes, BASE=base) == (0, [*PLAN, f"--base={base}"])
    assert not (Path(recipes["IN"]) / "pwned").exists()


def test_drift_fails_for_drift_an_error_and_a_missing_variable(
    recipes: dict[str, str],
) -> None:
    named = {"PG_CONN_STR": "postgres://x", "KUBE_CONFIG_PATH": "/k"}
    for missing in named:
        code, asked = make(
            "drift", recipes, **{key: named[key] for key in named if key != missing}
        )
        assert code != 0
        assert asked == []
    asked = ["-m", "ops", "drift", "--markdown"]
    assert make("drift", recipes, **named) == (0, asked)
    assert make("drift", recipes, **named, CODE="2")[0] != 0
    assert make("drift", recipes, **named, CODE="1")[0] != 0
    where = {"DRIFT_URL": "http://$(touch pwned)", "DRIFT_VOLUME": "/a b"}
    options = ["--url=http://$(touch pwned)", "--volume=/a b"]
    assert make("drift", recipes, **named, **where) == (0, asked + options)


def with_kubeconfig(tmp_path: Path, command: str, text: str) -> subprocess.Popen[str]:
    env = os.environ | {"RUNNER_TEMP": str(tmp_path), "KUBE_CONFIG": text}
    return subprocess.Popen(
        [ROOT / ".ci" / "with-kubeconfig", "sh", "-c", command],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_kubeconfig_is_private_while_it_is_needed_and_gone_afterwards(tmp_path: Path) -> None:
    command = (
        'stat -c %a "$KUBE_CONFIG_PATH"; cat "$KUBE_CONFIG_PATH"; echo "<$KUBE_CONFIG>"; exit 3'
    )
    process = with_kubeconfig(tmp_path, command, "apiVersion: v1\nkind: Config")
    assert process.communicate(timeout=20)[0] == "600\napiVersion: v1\nkind: Config\n<>\n"
    assert process.returncode == 3
    assert list(tmp_path.iterdir()) == []


def test_the_kubeconfig_goes_when_the_job_is_cancelled(tmp_path: Path) -> None:
    process = with_kubeconfig(tmp_path, "echo there; sleep 1", "kind: Config")
    assert process.stdout is not None
    assert process.stdout.readline() == "there\n"
    assert len(list(tmp_path.iterdir())) == 1
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    deadline = time.monotonic() + 5
    while list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    process = with_kubeconfig(tmp_path, "echo it ran", "")
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (1, "")
    assert err.startswith("error: KUBE_CONFIG is empty")
