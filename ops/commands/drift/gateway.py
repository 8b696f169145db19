"""Compare the consumers' keys with the declared consumers; the Secret has hashes only."""

from __future__ import annotations

from collections.abc import Iterator

from llama_swap_config.gateway.settings import ExistingGateway
from ops.cluster.api import Document, ForbiddenError, KubeApi
from ops.cluster.gateway_keys import changed_by_hand, entries_of, keys_place
from ops.cluster.own_secret import MANAGER
from ops.cluster.paths import object_path
from ops.commands.drift.declared import Declared, declared_value
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
from ops.commands.drift.object_fields import epoch, last_writer
from ops.commands.drift.working_tree import SETTINGS_FILE
from ops.endpoint.consumer_keys import problems

_CONSUMERS_FILE = "llama_swap_config/consumers.py"
_KEYS = "python -m ops gateway keys"


def look(declared: Declared, api: KubeApi, *, insist: bool = False) -> Look:
    """Compare the keys' Secret, and see whether an existing LiteLLM mounts what it needs.

    Args:
        declared: The working tree.
        api: The cluster. It is only read: one Secret, and the pods of an existing gateway.
        insist: Whether it is an error that this account may not read the Secret (default: no).

    Raises:
        OpsError: if the settings have no gateway, or the API server does not answer or refuses.
        NotAskedError: if this account may not read the Secret.
    """
    settings = declared.settings
    place = keys_place(settings.gateway, endpoint_namespace=settings.namespace)
    try:
        secret = place.read(api)
    except ForbiddenError as error:
        if insist:
            raise
        raise NotAskedError(str(error)) from error
    findings = list(_secret_findings(declared, str(place), secret))
    notes = []
    if isinstance(settings.gateway, ExistingGateway):
        try:
            findings += _mounts(declared, settings.gateway.namespace, api)
        except ForbiddenError as error:
            notes.append(f"whether a pod mounts the gateway's files is not known ({error})")
    return Look(findings=tuple(findings), notes=tuple(notes))


def _secret_findings(declared: Declared, place: str, secret: Document | None) -> Iterator[Finding]:
    names = [consumer.name for consumer in declared.all_consumers]
    if secret is None:
        if names:
            yield Finding(
                subject=place,
                field=PRESENCE,
                found=Value(text=ABSENT, where="in the cluster"),
                declared=declared_value(PRESENT, _CONSUMERS_FILE),
                remedy=f"no consumer can ask: `{_KEYS} new CONSUMER` makes it",
            )
        return
    entries = entries_of(secret)
    for consumer, problem in problems(names, entries).items():
        new = f"`{_KEYS} new {consumer}`"
        yield Finding(
            subject=f"consumer {consumer}",
            field="keys",
            found=_written(secret, consumer, f"refused ({problem})"),
            declared=declared_value("1 or 2 valid keys", _CONSUMERS_FILE),
            remedy=(
                f"it cannot ask: `{_KEYS} retire {consumer} --all`, then {new}"
                if consumer in entries
                else f"it cannot ask: {new}"
            ),
        )
    for consumer in sorted(entries.keys() - set(names)):
        yield Finding(
            subject=f"consumer {value_text('name', consumer)}",
            field=PRESENCE,
            found=_written(secret, consumer, PRESENT),
            declared=declared_value(ABSENT, _CONSUMERS_FILE),
            remedy=f"`{_KEYS} retire {value_text('name', consumer)} --all` removes its keys, or "
            f"declare it in {_CONSUMERS_FILE}",
        )
    if changed_by_hand(secret):
        foreign = [
            name for name in sorted(entries) if last_writer(secret, ("data", name))[0] != MANAGER
        ]
        text = value_text("names", ", ".join(foreign)) if foreign else "changed by hand"
        yield Finding(
            subject=place,
            field="entries written by hand",
            found=_written(secret, foreign[0] if foreign else "", text),
            declared=declared_value("none", _CONSUMERS_FILE),
            remedy=f"somebody added or removed a key: `{_KEYS}` lists them; `{_KEYS} retire` "
            f"removes one, and `{_KEYS} accept` takes the rest as they are",
        )


def _written(secret: Document, consumer: str, text: str) -> Value:
    """Return a value of the Secret, with who wrote an entry last; without a name, any entry."""
    path = ("data", consumer) if consumer else ("data",)
    who, time_s = last_writer(secret, path)
    return Value(
        text=text,
        where="in the Secret",
        who=value_text("manager", who) if who else "",
        time_s=time_s,
    )


def _mounts(declared: Declared, namespace: str, api: KubeApi) -> Iterator[Finding]:
    """Look for pods that mount the gateway's ConfigMaps, and started before they changed."""
    pods = (api.get(f"/api/v1/namespaces/{namespace}/pods") or {}).get("items") or ()
    for manifest in declared.objects:
        metadata = manifest["metadata"]
        if manifest["kind"] != "ConfigMap" or metadata.get("namespace") != namespace:
            continue
        live = api.get(object_path(manifest))
        if live is None:
            continue  # A difference of the cluster.
        mounting = [pod for pod in pods if metadata["name"] in _config_maps(pod)]
        _, written_s = last_writer(live, ("data",))
        if not mounting:
            yield Finding(
                subject=f"ConfigMap {metadata['name']}",
                field="mounts",
                found=Value(text="in no pod", where=f"of namespace {namespace}"),
                declared=declared_value("in LiteLLM's pod", SETTINGS_FILE),
                remedy="the gateway checks no key: let LiteLLM mount it, as docs/gateway.md says",
            )
        for pod in mounting:
            name = pod["metadata"]["name"]
            started_s = epoch((pod.get("status") or {}).get("startTime"))
            if None in (started_s, written_s) or (started_s or 0) >= (written_s or 0):
                continue
            yield Finding(
                subject=f"Pod {namespace}/{name}",
                field=f"content of ConfigMap {metadata['name']}",
                found=Value(text="an older one", where="in LiteLLM", time_s=started_s),
                declared=Value(text="this one", where="in the ConfigMap", time_s=written_s),
                remedy="LiteLLM reads it when it starts: restart its Deployment",
            )


def _config_maps(pod: Document) -> Iterator[str]:
    for volume in pod["spec"].get("volumes") or ():
        sources = ((volume.get("projected") or {}).get("sources")) or ()
        for source in (volume, *sources):
            name = (source.get("configMap") or {}).get("name")
            if name:
                yield str(name)
