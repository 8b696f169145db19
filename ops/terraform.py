"""Run Terraform on a synthesized stack, and believe only what it says with an exit code."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import uuid
from pathlib import Path

from ops.errors import OpsError
from ops.terraform_changes import ResourceChange, read_changes

NO_CHANGES, CHANGES = 0, 2
_END_TIMEOUT_S = 2
_NO_PROVIDER = (
    "could not connect to registry",
    "Failed to query available provider packages",
    "provider registry registry.terraform.io does not have",
    "Failed to install provider",
)


class ProviderUnavailableError(OpsError):
    """Terraform cannot get the Kubernetes provider here: no registry, no local mirror."""


class Terraform:
    """Terraform in one stack's directory."""

    def __init__(self, directory: Path, *, timeout_s: float | None = None) -> None:
        """Work in a directory.

        Args:
            directory: Holds cdk.tf.json.
            timeout_s: Seconds that one run may take before it is ended; left out: any time. Not
                for an apply: a state that it holds would stay locked.
        """
        self._directory = directory
        self._timeout_s = timeout_s

    def init(self) -> None:
        """Initialise backend and provider.

        Raises:
            ProviderUnavailableError: when the provider cannot be had.
            OpsError: with Terraform's own first error otherwise.
        """
        result = self._run("init", "-input=false", "-no-color", "-reconfigure")
        if result.returncode == 0:
            return
        output = result.stdout + result.stderr
        if any(each in output for each in _NO_PROVIDER):
            raise ProviderUnavailableError(
                "terraform cannot get the provider hashicorp/kubernetes 2.38.0 (no registry, no "
                "local mirror); docs/operating.md says where it is looked for"
            )
        raise OpsError(f"terraform init: {first_error(output)}")

    def push_empty_state(self) -> bool:
        """Give a new schema an empty state.

        Without one the first apply holds a lock of the whole database for its duration, and blocks
        every other stack in it.

        Returns:
            Whether there was none yet.

        Raises:
            OpsError: when PostgreSQL refuses it.
        """
        pulled = self._run("state", "pull")
        if pulled.returncode:
            raise OpsError(f"terraform state pull: {first_error(pulled.stdout + pulled.stderr)}")
        # Where there is no state, Terraform shows one that has no lineage yet.
        if pulled.stdout.strip() and json.loads(pulled.stdout).get("lineage"):
            return False
        version = json.loads(self._run("version", "-json").stdout)["terraform_version"]
        state = {
            "version": 4,
            "terraform_version": version,
            "serial": 1,
            "lineage": str(uuid.uuid4()),
            "outputs": {},
            "resources": [],
        }
        result = self._run("state", "push", "-", stdin=json.dumps(state))
        if result.returncode:
            raise OpsError(f"terraform state push: {first_error(result.stdout + result.stderr)}")
        return True

    def plan(self, *, quiet: bool = False, lock: bool = True) -> int:
        """Compare the stack with state and cluster.

        Args:
            quiet: Whether to keep the plan's text back.
            lock: Whether to hold the state's lock meanwhile.

        Returns:
            NO_CHANGES or CHANGES.

        Raises:
            OpsError: when Terraform cannot say.
        """
        words = ["plan", "-input=false", "-detailed-exitcode"]
        words += ["-lock-timeout=60s"] if lock else ["-lock=false"]
        result = self._run(*words, *(("-no-color",) if quiet else ()), capture=quiet)
        if result.returncode not in (NO_CHANGES, CHANGES):
            output = (result.stdout or "") + (result.stderr or "")
            raise OpsError(f"terraform plan: {first_error(output)}")
        return result.returncode

    def changes(self, *, lock: bool = True) -> tuple[ResourceChange, ...]:
        """Plan as `plan` does, and read object by object what an apply would do.

        Args:
            lock: Whether to hold the state's lock meanwhile; a read-only role cannot.

        Raises:
            OpsError: when Terraform cannot say.
        """
        # The file holds the whole state: it goes with its directory, whatever happens.
        with tempfile.TemporaryDirectory() as directory:
            saved = str(Path(directory) / "plan")
            words = ["plan", "-input=false", "-no-color", f"-out={saved}"]
            words += ["-lock-timeout=60s"] if lock else ["-lock=false"]
            result = self._run(*words)
            if result.returncode:
                raise OpsError(f"terraform plan: {first_error(result.stdout + result.stderr)}")
            shown = self._run("show", "-json", saved)
        if shown.returncode:
            raise OpsError(f"terraform show: {first_error(shown.stdout + shown.stderr)}")
        return read_changes(json.loads(shown.stdout))

    def apply(self) -> None:
        """Apply the stack without asking.

        Raises:
            OpsError: when the apply fails, or ends without saying that it is complete.
        """
        result = self._run(
            "apply", "-input=false", "-auto-approve", "-no-color", "-lock-timeout=60s"
        )
        if result.returncode or "Apply complete!" not in result.stdout:
            raise OpsError(f"terraform apply: {first_error(result.stdout + result.stderr)}")

    def _run(
        self, *words: str, stdin: str | None = None, capture: bool = True
    ) -> subprocess.CompletedProcess[str]:
        env = os.environ | {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
        command = ["terraform", *words]
        pipe = subprocess.PIPE if capture else None
        with subprocess.Popen(
            command,
            cwd=self._directory,
            env=env,
            stdin=subprocess.PIPE,
            stdout=pipe,
            stderr=pipe,
            text=True,
        ) as process:
            try:
                output, errors = process.communicate(stdin or "", timeout=self._timeout_s)
            except subprocess.TimeoutExpired as error:
                _end(process)
                raise OpsError(
                    f"terraform {words[0]} has not ended after {self._timeout_s:.3g} s"
                ) from error
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(command, process.returncode, output, errors)


def _end(process: subprocess.Popen[str]) -> None:
    """End a run: at the first signal it waits for its provider, at the second it ends that too."""
    for end in (process.terminate, process.terminate, process.kill):
        end()
        try:
            process.communicate(timeout=_END_TIMEOUT_S)
            return
        except subprocess.TimeoutExpired:
            continue


def first_error(output: str) -> str:
    """Pick the first error of Terraform's output, as one line."""
    lines = [line.strip(" │╷╵") for line in output.splitlines()]
    lines = [line for line in lines if line]
    for index, line in enumerate(lines):
        if line.startswith("Error:"):
            return " ".join(lines[index : index + 3]).removeprefix("Error: ")[:400]
    return " ".join(lines[-2:])[:400] or "it ended without a word"
