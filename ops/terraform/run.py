"""Run Terraform or OpenTofu on a synthesized stack; its exit codes decide."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.errors import OpsError
from ops.report.terminal import Say
from ops.terraform.adoption import FILE, adoption_blocks
from ops.terraform.apply_process import apply_to_its_end
from ops.terraform.changes import ResourceChange, read_changes, read_vanished
from ops.terraform.creation_lock import creation_lock
from ops.terraform.output import (
    first_error,
    protected_addresses,
    says_encrypted,
    says_no_provider,
)
from ops.terraform.plan_file import plan_file, remove_abandoned
from ops.terraform.program import PROVIDER, PROVIDER_VERSION, REGISTRIES, Program, find
from ops.terraform.state_lock import wait_for_lock
from ops.terraform.state_owner import check_owner
from ops.terraform.volume_users import volume_users

_END_TIMEOUT_S = 2
_UNWRITTEN = "errored.tfstate"
"""File in which Terraform leaves a state that its backend refuses."""


class ProviderUnavailableError(OpsError):
    """Terraform finds the Kubernetes provider neither in a registry nor in a local mirror."""


class StalePlanError(OpsError):
    """Somebody else applied between a plan and its apply; nothing was changed."""


class ApplyInterruptedError(OpsError):
    """A signal ended an apply, and Terraform has written its state."""

    exit_code = 130


class StateNotWrittenError(OpsError):
    """Terraform has changed objects without recording them in its state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPlan:
    """A plan in a file, so that the apply does what was shown."""

    terraform: Terraform
    path: Path
    changes: tuple[ResourceChange, ...]
    """All resources, those that stay as they are included."""
    protected: frozenset[str]
    """The addresses at which `prevent_destroy` stopped the plan; such a plan cannot be applied."""
    vanished: frozenset[str] = frozenset()
    """The addresses that the state has, and whose objects no longer exist."""

    def show(self) -> None:
        """Write it to stdout, in Terraform's own words.

        Raises:
            OpsError: if Terraform cannot read it.
        """
        colour = () if sys.stdout.isatty() else ("-no-color",)
        sys.stdout.write(self.terraform.checked("show", *colour, str(self.path)))

    def apply(self, *, quiet: bool = False) -> None:
        """Apply exactly this plan.

        A signal reaches Terraform as one interrupt. Terraform then finishes the current objects
        and writes its state, without which the next deploy would collide with its own objects.

        Args:
            quiet: Whether to hide Terraform's progress (default: no).

        Raises:
            StalePlanError: if the state has changed since the plan.
            ApplyInterruptedError: if a signal interrupts it.
            StateNotWrittenError: if Terraform cannot write the state.
            OpsError: if the apply fails for another reason.
        """
        self.terraform.apply_plan(self.path, quiet=quiet)


class Terraform:
    """Terraform or OpenTofu in one stack's directory."""

    def __init__(
        self, directory: Path, *, program: Program | None = None, timeout_s: float | None = None
    ) -> None:
        """Run in a directory.

        Args:
            directory: Holds cdk.tf.json.
            program: What to run (default: what `find` finds without building).
            timeout_s: Seconds after which a run is ended (default: no limit). An apply has no
                limit, because it would leave its state unwritten.
        """
        self.directory = directory
        self.program = program or find(None)
        self._timeout_s = timeout_s

    def init(self) -> str:
        """Initialise backend and provider, and check that the other tool did not write the state.

        Returns:
            A line for the operator if the state does not tell who wrote it, else nothing.

        Raises:
            OtherToolError: if the other tool wrote the state.
            ProviderUnavailableError: if the provider is not available.
            OpsError: if the state is encrypted and the key is missing, or with Terraform's first
                error.
        """
        # A deploy that was killed may have left it, with blocks for objects that are gone since.
        (self.directory / FILE).unlink(missing_ok=True)
        result = self.run("init", "-input=false", "-no-color", "-reconfigure")
        output = result.stdout + result.stderr
        if says_encrypted(output):
            raise OpsError(
                f"{self.program.tool} cannot read the state, which OpenTofu has encrypted; "
                "nothing was changed. Use OpenTofu with the TF_ENCRYPTION that wrote it"
            )
        unavailable = bool(result.returncode) and says_no_provider(output)
        if not unavailable:
            self._check("init", result)
        # Before the missing provider: the other tool's state asks for providers of its registry.
        note = check_owner(self._state(), self.program, self.directory)
        if unavailable:
            registry = REGISTRIES[self.program.tool]
            raise ProviderUnavailableError(
                f"{self.program.tool} cannot get the provider {PROVIDER} {PROVIDER_VERSION} from "
                f"{registry} or a mirror such as ~/.terraform.d/plugins/{registry}/; see "
                "docs/operating.md for where it looks"
            )
        return note

    def init_for_apply(self, *, say: Say) -> bool:
        """Initialise, and give a new schema an empty state, while no other deploy does.

        Args:
            say: Receives a line for the operator.

        Returns:
            Whether the schema had no state.

        Raises:
            OpsError: as `init` and `push_empty_state`, or if another deploy does not finish this.
        """
        with creation_lock(self.schema, say=say):
            note = self.init()
            if note:
                say(note)
            return self.push_empty_state()

    def push_empty_state(self) -> bool:
        """Give a new schema an empty state.

        Otherwise the first apply locks the whole database while it runs, and blocks every other
        stack in it.

        Returns:
            Whether the schema had no state.

        Raises:
            OpsError: if PostgreSQL refuses the state.
        """
        # Without a state, Terraform shows one without a lineage.
        if self._state().get("lineage"):
            return False
        state = {
            "version": 4,
            "terraform_version": self.program.version,
            "serial": 1,
            "lineage": str(uuid.uuid4()),
            "outputs": {},
            "resources": [],
        }
        pushed = self.run("state", "push", "-", stdin=json.dumps(state))
        self._check("state push", pushed)
        return True

    def _state(self) -> dict[str, Any]:
        """Return the state, or nothing if there is none.

        Raises:
            OpsError: if the backend does not give it.
        """
        pulled = self._check("state pull", self.run("state", "pull"))
        state: dict[str, Any] = json.loads(pulled) if pulled.strip() else {}
        return state

    def changes(self, *, lock: bool = True) -> tuple[ResourceChange, ...]:
        """Plan, and read object by object what an apply would do.

        Args:
            lock: Whether to lock the state (default: yes); a read-only role cannot.

        Raises:
            OpsError: if Terraform cannot plan.
        """
        with self.saved_plan(lock=lock) as plan:
            return plan.changes

    @property
    def schema(self) -> str:
        """The PostgreSQL schema of the state; empty if the state is elsewhere."""
        stack = json.loads((self.directory / "cdk.tf.json").read_text(encoding="utf-8"))
        backend = stack["terraform"].get("backend", {})
        schema: str = backend.get("pg", {}).get("schema_name", "")
        return schema

    def wait_for_lock(self, *, say: Say) -> None:
        """Wait for another deploy, such as the Terraform of one that was killed.

        Args:
            say: Receives a line if there is one.

        Raises:
            OpsError: if PostgreSQL refuses, or the other deploy does not end.
        """
        if schema := self.schema:
            wait_for_lock(schema, say=say)

    def move(self, addresses: Mapping[str, str]) -> None:
        """Move entries of the state to other addresses; no object changes.

        Raises:
            OpsError: with Terraform's first error.
        """
        for address, other in addresses.items():
            self.checked("state", "mv", "-lock-timeout=60s", address, other)

    @contextmanager
    def saved_plan(
        self,
        *,
        lock: bool = True,
        with_volume_users: bool = False,
        imports: Sequence[ResourceChange] = (),
        forgotten: Sequence[ResourceChange] = (),
    ) -> Iterator[SavedPlan]:
        """Plan into a file, which is removed at the end of the context: it has the whole state.

        Args:
            lock: Whether to lock the state (default: yes); a read-only role cannot.
            imports: Creations of objects that exist, to be imported instead (default: none).
            forgotten: Entries that the state is to lose while their objects stay (default: none).
            with_volume_users: Whether a plan that replaces the volume or its claim also replaces
                what mounts it (default: no); its apply would never end without.

        Raises:
            OpsError: if Terraform cannot plan.
        """
        remove_abandoned(self.directory)
        with plan_file(self.directory) as path:
            words = ["plan", "-input=false", "-no-color", f"-out={path}"]
            words += ["-lock-timeout=60s"] if lock else ["-lock=false"]
            with adoption_blocks(self.directory, imports, forgotten):
                plan = self._plan(words, path)
                users = volume_users(plan.changes) if with_volume_users else ()
                if users and not plan.protected:
                    plan = self._plan([*words, *(f"-replace={user}" for user in users)], path)
            # The file of a plan contains the blocks, too.
            yield plan

    def _plan(self, words: list[str], path: Path) -> SavedPlan:
        result = self.run(*words)
        output = result.stdout + result.stderr
        protected = protected_addresses(output) if result.returncode else frozenset()
        if not (protected and path.exists()):
            self._check("plan", result)
        shown = json.loads(self.checked("show", "-json", str(path)))
        return SavedPlan(
            terraform=self,
            path=path,
            changes=read_changes(shown),
            protected=protected,
            vanished=read_vanished(shown),
        )

    def check_state_is_written(self) -> None:
        """Refuse to continue while the state of an earlier apply is not written.

        Raises:
            StateNotWrittenError: if Terraform left that state in a file.
        """
        if (self.directory / _UNWRITTEN).exists():
            raise StateNotWrittenError(self._unwritten("an earlier deploy failed"))

    def apply_plan(self, plan: Path, *, quiet: bool) -> None:
        """Apply a saved plan; see `SavedPlan.apply`."""
        words = ["apply", "-input=false", "-lock-timeout=60s"]
        words += () if sys.stdout.isatty() and not quiet else ("-no-color",)
        self.run_to_its_end(*words, str(plan), quiet=quiet)

    def run_to_its_end(
        self, *words: str, quiet: bool = False, stdin: int | None = subprocess.DEVNULL
    ) -> None:
        """Run a command that changes the state; see `apply_to_its_end` for what stops it.

        Args:
            words: The command and its arguments.
            quiet: Whether to hide Terraform's progress (default: no).
            stdin: What Terraform reads (default: nothing); None: what this process reads.

        Raises:
            StalePlanError: if it applies a plan and the state has changed since.
            ApplyInterruptedError: if a signal interrupts it.
            StateNotWrittenError: if Terraform cannot write the state.
            OpsError: if it fails for another reason.
        """
        command = f"{self.program.tool} {words[0]}"
        ended = apply_to_its_end(
            [str(self.program.path), *words],
            directory=self.directory,
            env=_environment(),
            note=f"interrupted; waiting for {self.program.product} to write its state",
            quiet=quiet,
            stdin=stdin,
        )
        if (self.directory / _UNWRITTEN).exists():
            raise StateNotWrittenError(self._unwritten(f"{command}: {first_error(ended.errors)}"))
        if ended.returncode < 0:
            raise StateNotWrittenError(
                f"{command} was ended by signal {-ended.returncode}; its state may lack "
                "what it was creating. See `python -m ops plan --refresh`, then deploy again"
            )
        if ended.is_interrupted:
            done = "was complete" if ended.returncode == 0 else "wrote its state"
            raise ApplyInterruptedError(f"interrupted; {command} {done}. Deploy again to continue")
        if "Saved plan is stale" in ended.errors:
            raise StalePlanError("somebody else applied since this plan was made")
        if ended.returncode:
            raise OpsError(f"{command}: {first_error(ended.errors)}")

    def _unwritten(self, why: str) -> str:
        return (
            f"{why}; {self.program.product} could not write its state and left it in "
            f"{self.directory / _UNWRITTEN}. Before anything else run `{self.program.command} "
            f"state push {_UNWRITTEN}` in that directory, then delete the file. If others have "
            "deployed since and it is refused, delete the file and deploy"
        )

    def run(self, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command of Terraform to its end.

        Raises:
            OpsError: if it takes longer than the limit.
        """
        command = [str(self.program.path), *words]
        with subprocess.Popen(
            command,
            cwd=self.directory,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                output, errors = process.communicate(stdin or "", timeout=self._timeout_s)
            except subprocess.TimeoutExpired as error:
                _end(process)
                raise OpsError(
                    f"{self.program.tool} {words[0]} did not end within {self._timeout_s:.3g} s"
                ) from error
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(command, process.returncode, output, errors)

    def checked(self, *words: str) -> str:
        """Run a command and return its stdout.

        Raises:
            OpsError: with Terraform's first error if it fails.
        """
        return self._check(words[0], self.run(*words))

    def _check(self, command: str, result: subprocess.CompletedProcess[str]) -> str:
        """Return what a run wrote to stdout; raise Terraform's first error if it failed."""
        if result.returncode:
            error = first_error(result.stdout + result.stderr)
            raise OpsError(f"{self.program.tool} {command}: {error}")
        return result.stdout


def _environment() -> dict[str, str]:
    return os.environ | {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}


def _end(process: subprocess.Popen[str]) -> None:
    """End a run; the first signal waits for its provider, the second ends that too."""
    for end in (process.terminate, process.terminate, process.kill):
        end()
        try:
            process.communicate(timeout=_END_TIMEOUT_S)
            return
        except subprocess.TimeoutExpired:
            continue
