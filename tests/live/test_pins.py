"""Every pin of this tree is found by exactly one of Renovate's managers (renovate.json).

It reads your settings and your lock, not the frozen ones: theirs are what Renovate sees.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.ci.renovate_config import CONFIG, matches

TREE = Path(__file__).parents[2]
PIN = re.compile(
    r"@sha256:[0-9a-f]{64}"
    r"|@[0-9a-f]{40}\b"
    r'|"sha256": "[0-9a-f]{64}"'
    r"|\b(?:[\w.-]+/)+[\w.-]+:\d[\w.-]*"  # An image by its tag.
    r"|(?<=[\w\]])==\d[\w.*]*"
    r"|\bengine_build=\d+"
    r"|\b(?:terraform_|python-)version: *\S+"
    r'|"[\w@/-]+": "[~^]?\d+\.\d+\.\d+"'
    r"| v\d+\.\d+\.\d+\S*$",
    re.MULTILINE,
)
"""What pins a program, an image or a file to one version, whatever it stands in."""
UNPINNED = re.compile(
    r"^(?:tests|docs)/"  # Frozen on purpose, or text.
    r"|^tools/engines/"  # One file a build: `engine_build` names the one that counts.
    r"|^benchmarks/.*\.py$"  # Their figures belong to one build.
    r"|\.md$|\.sum$|(?:^|/)package-lock\.json$"  # go.sum and the like follow the file beside them.
)
GO_INDIRECT = re.compile(r".* // indirect$")
NATIVE = {
    # Manager: the files that it reads by default or by renovate.json, and a line that it updates.
    "github-actions": (
        r"\.github/workflows/[^/]+\.ya?ml",
        r" *(?:- )?uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v[\d.]+"
        r" *|\s+(?:terraform_|python-)version: \S+",
    ),
    "gomod": (r"(?:.+/)?go\.mod", r"(?:require |replace )?\s*(?:\S+(?: v\S+)? => )?\S+ v\d\S*"),
    "npm": (r"(?:.+/)?package\.json", r' +"[\w@/-]+": "[\d.]+",?'),
    "pip-compile": (r"(?:requirements\.txt|pyproject\.toml)", r'(?: +")?[\w\[\]-]+==.*'),
    "pip_requirements": (r"(?:.+/)?[\w-]*requirements\.txt", r"[\w\[\]-]+==.*"),
    "woodpecker": (r"\.woodpecker/[^/]+\.ya?ml", r" +(?:image: |- &\w+ )\S+"),
}


def files() -> dict[str, str]:
    """Return the texts of the tree that may pin something, by name."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=TREE,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return {name: (TREE / name).read_text() for name in listed if not UNPINNED.search(name)}


def disabled(manager: str, name: str) -> bool:
    return any(
        rule.get("enabled") is False
        and manager in rule.get("matchManagers", ())
        and name in rule.get("matchFileNames", ())
        for rule in CONFIG["packageRules"]
    )


def finders(name: str, text: str, pin: re.Match[str]) -> list[str]:
    """Name the enabled managers that find a pin."""
    first = text.rfind("\n", 0, pin.start()) + 1
    line = text[first:].partition("\n")[0]
    found = [
        manager
        for manager, (file, form) in NATIVE.items()
        if manager in CONFIG["enabledManagers"]
        and re.fullmatch(file, name)
        and re.fullmatch(form, line)
        and not disabled(manager, name)
    ]
    for manager in CONFIG["customManagers"]:
        for start, end, _ in matches(manager, name, text):
            if start <= pin.start() and pin.end() <= end:
                found.append(manager["description"])
    return found


def test_every_pin_is_found_by_exactly_one_manager() -> None:
    pins = 0
    for name, text in files().items():
        for pin in PIN.finditer(text):
            line = text[text.rfind("\n", 0, pin.start()) + 1 :].partition("\n")[0]
            if name.endswith(".go") or (name.endswith("go.mod") and GO_INDIRECT.fullmatch(line)):
                continue
            pins += 1
            found = finders(name, text, pin)
            assert len(found) == 1, f"{name}: {line.strip()} is found by {found or 'no manager'}"
    assert pins > 150


@pytest.mark.parametrize("manager", sorted(NATIVE))
def test_without_a_manager_a_pin_is_missed(manager: str, monkeypatch: pytest.MonkeyPatch) -> None:
    others = [name for name in CONFIG["enabledManagers"] if name != manager]
    monkeypatch.setitem(CONFIG, "enabledManagers", others)
    with pytest.raises(AssertionError, match="is found by no manager"):
        test_every_pin_is_found_by_exactly_one_manager()


def test_a_lock_that_two_managers_read_is_found_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONFIG, "packageRules", [])
    with pytest.raises(AssertionError, match="'pip-compile', 'pip_requirements'"):
        test_every_pin_is_found_by_exactly_one_manager()
