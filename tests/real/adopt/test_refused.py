"""`ops adopt` changes nothing where it is refused or not approved."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llama_swap_config.cluster.storage import NfsStorage, ProvisionedStorage
from ops.cli import main
from ops.commands.adopt.run import adopt
from ops.commands.adopt.take_over import TakeOver
from ops.embedded.cluster import EmbeddedCluster
from ops.errors import OpsError
from tests.declaration.settings import SETTINGS
from tests.real.adopt.running import STORAGE, Running, hand_written_endpoint, nothing_changed

Declare = Callable[..., None]


@pytest.fixture(scope="module")
def running(
    cluster: EmbeddedCluster,
    running_provider: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    """The endpoint of the HCL, which all of these tests leave as it is."""
    del running_provider
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment().items():
            patch.setenv(name, value)
        with hand_written_endpoint(cluster, tmp_path_factory.mktemp("hcl")) as found:
            yield found


def test_without_approval_nothing_changes(
    running: Running, declare: Declare, tmp_path: Path
) -> None:
    del declare
    copies = tmp_path / "copies"

    def decline() -> None:
        with pytest.raises(OpsError, match="not approved; nothing was changed"):
            adopt(
                SETTINGS,
                show=lambda _document: None,
                approve=lambda: False,
                policy=TakeOver(namespace=SETTINGS.namespace),
                copies=copies,
                wait_s=0,
                say=lambda _line: None,
            )

    nothing_changed(running, decline)
    assert not copies.exists()


def test_without_a_folder_for_the_copy_nothing_changes(
    running: Running, declare: Declare, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    del declare
    (tmp_path / "copies").touch()

    def fail() -> None:
        assert main(["adopt", "--yes", "--copies", str(tmp_path / "copies")]) == 1

    nothing_changed(running, fail)
    error = capfd.readouterr().err
    assert error == f"error: {tmp_path / 'copies'} cannot be written (File exists)\n"


REFUSALS = {
    "the claim of the default name": (
        NfsStorage(server="192.168.1.127", path="/srv/nfs-ssd/llamacpp"),
        r"PersistentVolume.*bound to claim llama-cpp/llama-cpp-models.*"
        r'`storage` of stacks/production.py: claim="llama-cpp-models", storage_class="nfs"',
    ),
    "another server": (
        replace(STORAGE, server="192.168.1.9"),
        r"spec.nfs.server is '192.168.1.127' and declared as '192.168.1.9'.*"
        r'`storage` of stacks/production.py: server="192.168.1.127"\.',
    ),
    "another class": (
        replace(STORAGE, storage_class=None),
        "spec.storageClassName is 'nfs' and declared as 'llama-cpp-models'.*storage_class=\"nfs\"",
    ),
    "another volume for the claim": (
        replace(STORAGE, volume="mine"),
        "spec.volumeName is 'llama-cpp-models' and declared as 'mine'.*"
        'volume="llama-cpp-models"',
    ),
    "a class with a provisioner": (
        ProvisionedStorage(storage_class="longhorn", claim="llama-cpp-models"),
        r"spec.storageClassName is 'nfs' and declared as 'longhorn'",
    ),
}


@pytest.mark.parametrize(("storage", "message"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_volume_that_could_not_stay_is_refused_with_what_to_declare(
    running: Running,
    declare: Declare,
    capfd: pytest.CaptureFixture[str],
    storage: Any,
    message: str,
) -> None:
    declare(storage=storage)

    def refused() -> None:
        assert main(["adopt", "--yes"]) == 3

    nothing_changed(running, refused)
    output = capfd.readouterr()
    (line,) = output.err.splitlines()
    assert re.search(message, line), line
    assert "allow-removal" not in line
    # Nobody types a command that deletes what runs.
    assert "to delete it" not in output.out
    assert "nothing was changed" in line


def test_a_volume_of_another_endpoint_of_this_stack_is_not_taken(
    running: Running, declare: Declare, capfd: pytest.CaptureFixture[str]
) -> None:
    """The label alone does not make a volume this endpoint's."""
    path = "/api/v1/persistentvolumes/llama-cpp-models"
    label = "app.kubernetes.io/part-of"
    running.api.request("PATCH", path, {"metadata": {"labels": {label: "llama-cpp"}}})
    declare(storage=replace(STORAGE, claim=None), namespace="second", state_schema="second")

    def refused() -> None:
        assert main(["deploy", "--yes"]) == 3

    nothing_changed(running, refused)
    line = capfd.readouterr().err
    assert "exists already, for claim llama-cpp/llama-cpp-models" in line
    running.api.request("PATCH", path, {"metadata": {"labels": {label: None}}})
