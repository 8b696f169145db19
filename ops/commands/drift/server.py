"""Compare the running server with the declaration, without loading a model.

`/upstream/MODEL/...` is never asked, because it loads the model: a running model may be unloaded a
moment later.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from llama_swap_config.front_ends import FRONT_ENDS
from llama_swap_config.front_ends.front_end import FrontEnd, Started
from llama_swap_config.front_ends.server_command import of_model
from ops.cluster.api import Document, KubeApi
from ops.cluster.environment import KubeTarget
from ops.cluster.gpu_tenants import lacks
from ops.cluster.pod_log import serving_log
from ops.commands.drift.configuration import Fields, command_fields, compare_fields
from ops.commands.drift.declared import Declared, declared_value, subject_of
from ops.commands.drift.difference import (
    ABSENT,
    PRESENCE,
    PRESENT,
    Finding,
    Look,
    NotAskedError,
    Value,
    value_text,
)
from ops.commands.drift.object_fields import epoch
from ops.commands.drift.working_tree import REGISTRY_FILE, SETTINGS_FILE
from ops.endpoint import device as devices
from ops.endpoint.api_key import KEY_VARIABLE, api_key
from ops.endpoint.client import Endpoint, at, base_url
from ops.endpoint.errors import CheckError
from ops.endpoint.key_check import asks_for_key, refuses
from ops.errors import OpsError, one_line
from ops.report.kubectl import kubectl

_TIMEOUT_S = 10
_WHERE = "in the running server"
_PATHS = {"--model", "--mmproj"}
_DEVICE = "--device"
_WRONG_KEY = "drift-wrong-key"


def is_service(declared: Declared, url: str) -> bool:
    """Whether a URL is that of the cluster's own Service: `llama-swap.llama-cpp.svc`.

    Raises:
        OpsError: if it is not a URL.
    """
    settings = declared.settings
    host = urlsplit(base_url(url)).hostname or ""
    return host.split(".")[:2] == [settings.service, settings.namespace]


def nobody_serves(deployment: Document | None, pods: list[Document], *, resource: str) -> str:
    """Return why no pod serves, if a tenant may have the GPU.

    Args:
        deployment: The front end's; None: it does not exist.
        pods: Its pods.
        resource: The extended resource of the GPU.

    Returns:
        The reason; empty if a pod serves or should serve.
    """
    if at(deployment, "spec", "replicas") == 0:
        return "the Deployment llama-swap has 0 replicas"
    waiting = [
        str(at(condition, "message"))
        for pod in pods
        for condition in at(pod, "status", "conditions") or ()
        if at(condition, "type") == "PodScheduled" and at(condition, "status") == "False"
    ]
    if (
        waiting
        and len(waiting) == len(pods)
        and all(lacks(message, resource) for message in waiting)
    ):
        return f"the pod waits for the GPU ({one_line(waiting[0])})"
    return ""


def way_to(
    declared: Declared, target: KubeTarget
) -> tuple[AbstractContextManager[str], float | None]:
    """Return the way to the cluster's Service, and the time its pod started.

    Raises:
        NotAskedError: if no pod serves because a tenant may have the GPU.
        OpsError: if the API server does not answer.
    """
    from ops.cluster.port_forward import to_endpoint

    settings = declared.settings
    with KubeApi(target) as api:
        namespace = f"namespaces/{settings.namespace}"
        deployment = api.get(f"/apis/apps/v1/{namespace}/deployments/llama-swap")
        chosen = "labelSelector=app.kubernetes.io/name=llama-swap"
        listing = api.get(f"/api/v1/{namespace}/pods?{chosen}")
    pods: list[Document] = at(listing, "items") or []
    if reason := nobody_serves(deployment, pods, resource=settings.gpu.resource):
        raise NotAskedError(reason)
    started = [epoch(at(pod, "status", "startTime")) for pod in pods]
    return (
        to_endpoint(target, settings, pool=declared.pool or None),
        started[0] if len(started) == 1 else None,
    )


def look(
    declared: Declared, url: str | None, *, target: KubeTarget | None, insist: bool = False
) -> Look:
    """Compare the model list, the command lines of loaded models, and the engine's build.

    Args:
        declared: The working tree.
        url: The endpoint; None: through a port-forward.
        target: The cluster for the port-forward, and to check whether its Service can answer.
        insist: Whether it is an error that no pod serves (default: no).

    Raises:
        OpsError: if it cannot be reached.
        CheckError: if its answers are not valid.
        NotAskedError: if no pod serves, and none has to.
    """
    started_s = None
    way: AbstractContextManager[str] | None = None
    if target is not None:
        try:
            way, started_s = way_to(declared, target)
        except NotAskedError as error:
            if insist:
                raise OpsError(str(error)) from error
            raise
    if url is not None:
        way = nullcontext(url)
    if way is None:
        raise OpsError("pass --url or set KUBE_CONFIG_PATH and KUBE_CTX")
    with way as address, Endpoint(address, key=api_key()) as endpoint:
        own = url is None or target is not None
        log = None if target is None else partial(serving_log, target, declared.settings)
        try:
            return _Server(declared, endpoint, started_s, own=own, own_log=log).look()
        except CheckError as error:
            if url is None or target is None or error.ends != "endpoint":
                raise
            admitted = declared.settings.admitted_namespaces(declared.consumers)
            raise CheckError(
                f"{error}; of pods the NetworkPolicy admits only those of the namespaces "
                f"{', '.join(admitted) or 'none'}. Add this one to monitoring_namespaces in "
                f"{SETTINGS_FILE}"
            ) from error


class _Server:
    """One endpoint, asked only for what it knows without loading a model."""

    def __init__(
        self,
        declared: Declared,
        endpoint: Endpoint,
        started_s: float | None,
        *,
        own: bool,
        own_log: Callable[[], str] | None,
    ) -> None:
        """Prepare the questions.

        Args:
            declared: The working tree.
            endpoint: The endpoint to ask.
            started_s: Start of its pod, in seconds since 1970; None: unknown.
            own: Whether it is the cluster's Service, which must be a front end.
            own_log: Reads its log from the cluster; None: not reachable.
        """
        self._declared = declared
        self._endpoint = endpoint
        self._started_s = started_s
        self._own = own
        self._own_log = own_log
        self._notes: list[str] = []

    def look(self) -> Look:
        needs_key = asks_for_key(self._endpoint, timeout_s=_TIMEOUT_S)
        listing = self._ask("/v1/models")
        listed = at(listing, "data")
        front_end, answer = self._which(listing)
        if not isinstance(listed, list):
            raise CheckError("/v1/models has no list; expected an OpenAI-compatible endpoint")
        findings = list(self._ids(listed))
        key_declared = self._key_declared()
        # A gateway before the front end may require a key that the settings do not declare.
        if needs_key != key_declared and (key_declared or front_end is not None):
            findings.append(self._key(needs_key))
        if needs_key and not refuses(self._endpoint, _WRONG_KEY, timeout_s=_TIMEOUT_S):
            findings.append(self._finding("endpoint", "key", "any", self._needed_key()))
        if front_end is None and not self._own:
            self._notes.append(
                "the server is neither front end; only its list of models and its key are compared"
            )
        elif front_end is None or front_end.name != self._declared.settings.front_end:
            findings.append(self._front_end(front_end))
        else:
            findings += self._started(front_end, front_end.started(answer) or ())
            findings += self._build(front_end)
        return Look(findings=tuple(findings), notes=tuple(self._notes))

    def _which(self, listing: Any) -> tuple[FrontEnd | None, Any]:
        """Return the front end, and its answer that lists the started models."""
        for front_end in FRONT_ENDS.values():
            path = front_end.residents_path
            answer = listing if path == "/v1/models" else self._ask(path, missing_is_none=True)
            if front_end.loaded(answer) is not None:
                return front_end, answer
        return None, None

    def _ask(self, path: str, *, missing_is_none: bool = False) -> Any:
        answer = self._endpoint.get(path, timeout_s=_TIMEOUT_S)
        if answer.refuses_key:
            what = f"refuses the key of {KEY_VARIABLE}" if self._endpoint.key else "asks for a key"
            undeclared = "" if self._key_declared() else f", and {SETTINGS_FILE} declares none"
            raise CheckError(f"the endpoint {what}{undeclared}; set {KEY_VARIABLE}")
        if missing_is_none and answer.status == 404:
            return None
        return answer.document()

    def _value(self, text: str) -> Value:
        return Value(text=text, where=_WHERE, time_s=self._started_s)

    def _finding(
        self, subject: str, field: str, text: str, declared: Value, remedy: str = ""
    ) -> Finding:
        return Finding(
            subject=subject,
            field=field,
            found=self._value(value_text(field, text)),
            declared=declared,
            remedy=remedy or self._restart(),
        )

    def _restart(self) -> str:
        host = urlsplit(self._endpoint.url).hostname
        if self._started_s is None and host in ("127.0.0.1", "localhost"):
            return "restart it with the declared configuration (here: python -m ops serve)"
        restart = kubectl(
            "delete pod -l app.kubernetes.io/name=llama-swap",
            namespace=self._declared.settings.namespace,
        )
        return f"python -m ops deploy; if the ConfigMap is as declared, {restart}"

    def _ids(self, listed: list[Any]) -> Iterator[Finding]:
        entries = {str(at(entry, "id")): entry for entry in listed}
        aliases = {alias for model in self._declared.models for alias in model.aliases}
        for model in self._declared.models:
            wanted = declared_value(PRESENT, REGISTRY_FILE)
            if model.id not in entries:
                yield self._finding(subject_of(model.id), PRESENCE, ABSENT, wanted)
                continue
            for field, value in (
                ("name", model.name or model.id),
                ("description", model.description),
            ):
                text = at(entries[model.id], field)
                if isinstance(text, str) and text != value:
                    wanted = declared_value(value_text(field, value), REGISTRY_FILE)
                    yield self._finding(subject_of(model.id), field, text, wanted)
        for stranger in sorted(
            set(entries) - {model.id for model in self._declared.models} - aliases
        ):
            wanted = declared_value(ABSENT, REGISTRY_FILE)
            yield self._finding(subject_of(stranger), PRESENCE, PRESENT, wanted)

    def _key_declared(self) -> bool:
        return bool(self._declared.settings.llama_swap.api_key_env)

    def _key(self, asks: bool) -> Finding:
        return self._finding("endpoint", "key", _needed(asks), self._needed_key())

    def _needed_key(self) -> Value:
        return declared_value(_needed(self._key_declared()), SETTINGS_FILE)

    def _front_end(self, front_end: FrontEnd | None) -> Finding:
        wanted = declared_value(self._declared.settings.front_end, SETTINGS_FILE)
        return self._finding(
            "endpoint", "front_end", front_end.name if front_end else "neither", wanted
        )

    def _started(self, front_end: FrontEnd, started: tuple[Started, ...]) -> Iterator[Finding]:
        handed_down = command_fields(["llama-server", *front_end.handed_down])
        settings = self._declared.settings.llama_swap.server
        for server in started:
            wanted = self._declared.configuration.models.get(server.model)
            if wanted is None:
                continue
            if server.words is None:
                raise CheckError(
                    f"{front_end.residents_path} has no {front_end.command_field} of "
                    f"{server.model!r}; its flags cannot be compared"
                )
            own = front_end.own_flags
            if not devices.is_production(server, settings):
                # Another machine need not have production's devices.
                own |= {_DEVICE}
            yield from self._flags(
                server.model,
                _without(own, command_fields(list(server.words))),
                _without(own, {**wanted, **handed_down}),
            )
            if server.is_loaded:
                yield from self._device(front_end, server)
            declared_ttl = wanted.get("ttl")
            if server.ttl is not None and declared_ttl not in (None, server.ttl):
                wanted_ttl = declared_value(declared_ttl, REGISTRY_FILE)
                yield self._finding(subject_of(server.model), "ttl", server.ttl, wanted_ttl)
        if not any(server.is_loaded for server in started):
            known = "the flags compared are those of its next start"
            self._notes.append(
                f"no model is loaded; {known if started else 'no flags are compared'}"
            )

    def _device(self, front_end: FrontEnd, server: Started) -> Iterator[Finding]:
        """Compare the device of a loaded model's log with the declared one."""
        try:
            found = devices.of_model(
                self._endpoint,
                front_end,
                server.model,
                started=server,
                own_log=self._own_log,
                timeout_s=_TIMEOUT_S,
            )
        except CheckError as error:  # It ended since it was listed.
            found = devices.Device(names=None, reason=str(error))
        settings = self._declared.settings
        (model,) = (model for model in self._declared.models if model.id == server.model)
        own = of_model(settings.llama_swap.server, model, isolated=front_end.isolates)
        wanted = devices.declared(server, own)
        if devices.is_another_build(found, server, own, settings.engine_build):
            yield self._build_differs(subject_of(server.model), f"b{found.build}")
        if found.names is None:
            self._notes.append(
                f"the device of {server.model} is not known: {found.reason}"
                f"{devices.evidence(server)}"
            )
        elif wanted is None or found.names == wanted:
            build = f", b{found.build}" if found.build else ""
            self._notes.append(f"{server.model} runs on {found}{build}")
        else:
            yield self._finding(
                subject_of(server.model),
                "device",
                str(found),
                declared_value(devices.device_text(wanted), SETTINGS_FILE),
                "check llama_swap.server.device, gpu.runtime_class and the node's driver",
            )

    def _flags(self, model: str, actual: Fields, declared: Fields) -> Iterator[Finding]:
        for _, field, text, declared_text in compare_fields(
            model, _flags_of(actual), _flags_of(declared)
        ):
            wanted = declared_value(value_text(field, declared_text), REGISTRY_FILE, SETTINGS_FILE)
            yield self._finding(subject_of(model), field, text, wanted)

    def _build(self, front_end: FrontEnd) -> Iterator[Finding]:
        """Ask the front end itself, without naming a model."""
        if not front_end.build_path:
            self._notes.append(
                f"{front_end.name} does not report the engine's build; that of a loaded model's "
                "log and the digest of the pod's image are compared instead"
            )
            return
        info = at(self._ask(front_end.build_path, missing_is_none=True), "build_info")
        match = re.match(r"b(\d+)", info) if isinstance(info, str) else None
        if match is None or match[1] == "0":
            self._notes.append("the engine does not report its build")
        elif int(match[1]) != self._declared.settings.engine_build:
            yield self._build_differs("endpoint", match[0])

    def _build_differs(self, subject: str, build: str) -> Finding:
        return self._finding(
            subject,
            "engine build",
            build,
            declared_value(f"b{self._declared.settings.engine_build}", SETTINGS_FILE),
            "python -m ops deploy rolls out the declared image, or declare engine_build in "
            f"{SETTINGS_FILE}",
        )


def _needed(asks: bool) -> str:
    return "needed" if asks else "not needed"


def _without(flags: Collection[str], fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if name not in flags}


def _flags_of(fields: Fields) -> Fields:
    """Keep the flags; of a path its last two parts, because a store may be anywhere."""
    return {
        name: "/".join(PurePosixPath(value).parts[-2:]) if name in _PATHS else value
        for name, value in fields.items()
        if name.startswith("-")
    }
