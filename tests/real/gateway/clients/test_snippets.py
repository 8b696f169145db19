"""Each program of docs/consumers gets its answer through the gateway, or shows why not."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ops.endpoint.api_key import KEY_VARIABLE
from tests.real.gateway.clients.conftest import TENANT, Ground
from tests.real.gateway.clients.snippets import Snippet, run, snippets, started

PROGRAMS = snippets("python", "javascript", "go")
WAITING = [snippet for snippet in PROGRAMS if "sleep(" in snippet.text]
AT_ONCE = [snippet for snippet in PROGRAMS if snippet not in WAITING]


@pytest.mark.parametrize("snippet", PROGRAMS, ids=str)
def test_a_snippet_is_answered_by_a_cold_model(
    ground: Ground, snippet: Snippet, tmp_path: Path
) -> None:
    ground.unload()
    loads = ground.endpoint.loads()
    code, output = run(snippet, tmp_path, url=ground.gateway.url, key=ground.key())
    assert code == 0, output
    assert output.strip()
    assert "warn" not in output.lower()
    assert ground.endpoint.loads() == loads + 1


@pytest.mark.parametrize("snippet", PROGRAMS, ids=str)
def test_a_refusal_for_good_is_readable(ground: Ground, snippet: Snippet, tmp_path: Path) -> None:
    """Home Assistant's key opens another model."""
    key = ground.key("home-assistant")
    code, output = run(snippet, tmp_path, url=ground.gateway.url, key=key)
    assert code != 0
    assert "home-assistant may not use model" in output


@pytest.mark.parametrize("snippet", AT_ONCE, ids=str)
def test_who_has_the_card_is_readable(ground: Ground, snippet: Snippet, tmp_path: Path) -> None:
    ground.door.close()
    code, output = run(snippet, tmp_path, url=ground.gateway.url, key=ground.key())
    assert code != 0
    assert f"outside a window {TENANT} has the card" in output


@pytest.mark.parametrize("snippet", WAITING, ids=str)
def test_a_snippet_that_waits_is_answered_when_the_card_is_free(
    ground: Ground, snippet: Snippet, tmp_path: Path
) -> None:
    ground.door.close()
    with started(snippet, tmp_path, url=ground.gateway.url, key=ground.key()) as program:
        assert program.stdout is not None
        refusal = program.stdout.readline().strip()
        assert refusal in " ".join(snippet.page.read_text().split())
        ground.door.open()
        output, _ = program.communicate()
    assert program.returncode == 0, output
    assert output.strip()


def test_the_page_names_the_variables_that_the_snippets_read() -> None:
    (block,) = snippets("yaml")
    base_url, key = yaml.safe_load(block.text)["env"]
    assert (base_url["name"], key["name"]) == ("OPENAI_BASE_URL", "OPENAI_API_KEY")
    assert base_url["value"].endswith("/v1")
    assert key["valueFrom"]["secretKeyRef"]["key"] == KEY_VARIABLE


def test_each_page_has_a_snippet_for_these_tests() -> None:
    assert len(PROGRAMS) > 10
    assert WAITING
