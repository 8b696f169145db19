"""Compare the cluster with the declaration: objects, ConfigMap by model, pods and Jobs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from in_pod.gpu_window.contract import ENDPOINT_DEPLOYMENT
from llama_swap_config.cluster.labels import labels
from ops.cluster.api import Document, KubeApi
from ops.cluster.paths import collection_path, object_path
from ops.commands.drift import workloads
from ops.commands.drift.configuration import ALL_MODELS, UnreadableError, compare, read
from ops.commands.drift.declared import (
    DEPLOY,
    Declared,
    field_finding,
    mismatch_finding,
    of_stack,
    presence_finding,
)
from ops.commands.drift.difference import (
    ABSENT,
    PRESENT,
    Finding,
    Look,
    Value,
    value_text,
)
from ops.commands.drift.object_fields import (
    ObjectField,
    compare_objects,
    covers,
    epoch,
    last_writer,
)
from ops.commands.drift.opened import opening
from ops.commands.drift.stopped import remedy, with_stop
from ops.report.kubectl import kubectl
from ops.terraform.manifests import Manifest

_WHERE = "in the cluster"
_OF_STACK = {key: value for key, value in labels("").items() if key != "app.kubernetes.io/name"}
"""The labels of every object of the stack."""


def look(declared: Declared, api: KubeApi) -> Look:
    """Compare every declared object with the cluster's, and check what runs.

    Args:
        declared: The working tree.
        api: The cluster. It is only read: the objects, pods, Jobs and one Lease.

    Raises:
        OpsError: if the API server does not answer or refuses.
    """
    findings: list[Finding] = []
    tolerated: list[str] = []
    live: dict[tuple[str, str], Document] = {}
    for manifest in declared.objects:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        document = api.get(object_path(manifest))
        if document is not None:
            live[kind, name] = document
            found, ignored = _object(declared, manifest, document)
            findings += found
            tolerated += ignored
        elif kind == "Namespace":
            return Look(findings=(_absent(manifest),))
        else:
            findings.append(_absent(manifest))
    findings = without_consequences(findings)
    findings += _undeclared(declared, api)
    findings += _opened(declared, api)
    running, notes = workloads.look(declared, api, live.get(("ConfigMap", ENDPOINT_DEPLOYMENT)))
    return Look(findings=(*findings, *running), notes=(*tolerated, *notes))


def _absent(manifest: Manifest) -> Finding:
    value = Value(text=ABSENT, where=_WHERE)
    return presence_finding(_name(manifest), value, PRESENT, f"{DEPLOY} creates it again")


def _name(manifest: Manifest) -> str:
    return f"{manifest['kind']} {value_text('name', manifest['metadata']['name'])}"


def _object(
    declared: Declared, manifest: Manifest, live: Document
) -> tuple[list[Finding], list[str]]:
    """Return what differs, and remarks on what differs in fields that the settings ignore."""
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    ignored = [field for field in declared.settings.set_once if field.is_of(kind, name)]
    findings, notes = [], []
    wanted = {key: value for key, value in with_stop(manifest).items() if key != "data"}
    for field in compare_objects(live, wanted):
        why = next(
            (rule.reason for rule in ignored if covers(rule.parts, manifest, field.path)), None
        )
        if why is None:
            findings.append(_field(manifest, live, field))
        else:
            notes.append(_tolerated(manifest, live, field, why))
    if kind == "ConfigMap":
        findings += _data(declared, manifest, live)
    return findings, notes


def _tolerated(manifest: Manifest, live: Document, field: ObjectField, why: str) -> str:
    found = _written(live, field.path, value_text(field.name, field.found)).told(str)
    wanted = value_text(field.name, field.declared)
    return f"{_name(manifest)}: {field.name} is {found}, {wanted} declared, and ignored: {why}"


def _field(manifest: Manifest, live: Document, field: ObjectField) -> Finding:
    value = _written(live, field.path, value_text(field.name, field.found))
    finding = field_finding(_name(manifest), field.name, value, field.declared)
    start = remedy(manifest, field.path)
    return finding if start is None else replace(finding, remedy=start)


def _data(declared: Declared, manifest: Manifest, live: Document) -> Iterator[Finding]:
    live_data, declared_data = live.get("data") or {}, manifest["data"]
    for key in dict.fromkeys((*declared_data, *live_data)):
        text, wanted = live_data.get(key), declared_data.get(key)
        if text == wanted:
            continue
        if key == declared.program.config_key and text is not None:
            place = replace(_written(live, ("data", key)), where="in the ConfigMap")
            findings = list(configuration_findings(declared, text, place))
            if findings:
                yield from findings
                continue
        yield _field(
            manifest, live, ObjectField(("data", key), content_text(text), content_text(wanted))
        )


def _written(live: Document, path: tuple[str, ...], text: str = "") -> Value:
    """Return a value of the cluster, with who wrote it last and when."""
    who, time_s = last_writer(live, path)
    return Value(
        text=text, where=_WHERE, who=value_text("manager", who) if who else "", time_s=time_s
    )


def configuration_findings(declared: Declared, text: str, place: Value) -> Iterator[Finding]:
    """Compare a front end's file with the declared one, model by model.

    Args:
        declared: The working tree.
        text: Content of the file.
        place: Where it is from, who wrote it and when.
    """

    def at_place(value: str) -> Value:
        return replace(place, text=value)

    subject, key = f"ConfigMap {ENDPOINT_DEPLOYMENT}", declared.program.config_key
    try:
        mismatches = list(compare(read(key, text), declared.configuration))
    except UnreadableError as error:
        yield Finding(
            subject=subject,
            field=key,
            found=at_place(value_text(key, f"not readable ({error})")),
            declared=of_stack(content_text(declared.program.config)),
            remedy=f"{DEPLOY} restores it",
        )
        return
    for mismatch in mismatches:
        yield mismatch_finding(mismatch, at_place, subject)


def content_text(text: str | None) -> str:
    """Identify a file by its length and its digest."""
    if text is None:
        return ABSENT
    return f"{len(text)} characters, sha256 {hashlib.sha256(text.encode()).hexdigest()[:12]}"


def without_consequences(findings: list[Finding]) -> list[Finding]:
    """Drop the checksums of the pod's template if the content that they are of differs."""
    content_differs = any(
        finding.subject.startswith(("model ", ALL_MODELS, "ConfigMap "))
        and not finding.field.startswith("metadata")
        for finding in findings
    )
    return [
        finding for finding in findings if not (content_differs and "[checksum/" in finding.field)
    ]


def _opened(declared: Declared, api: KubeApi) -> Iterator[Finding]:
    declared_policies = [made for made in declared.objects if made["kind"] == "NetworkPolicy"]
    for collection in dict.fromkeys(map(collection_path, declared_policies)):
        others = [
            item
            for item in (api.get(collection) or {}).get("items") or ()
            if not _is_ours(item)
            and item["metadata"]["name"]
            not in {made["metadata"]["name"] for made in declared_policies}
        ]
        for item in opening(declared.objects, others):
            name, namespace = item["metadata"]["name"], item["metadata"]["namespace"]
            yield presence_finding(
                f"NetworkPolicy {value_text('name', name)}",
                _written(item, ("spec",), PRESENT),
                ABSENT,
                "it opens the stack's pods beyond their declared clients and egress: "
                f"{kubectl(f'delete networkpolicy {name}', namespace=namespace)}, or let it "
                "select other pods",
            )


def _is_ours(item: Document) -> bool:
    labels_of_item = item["metadata"].get("labels") or {}
    return all(labels_of_item.get(key) == value for key, value in _OF_STACK.items())


def _undeclared(declared: Declared, api: KubeApi) -> Iterator[Finding]:
    known = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in declared.objects}
    chosen = ",".join(f"{key}={value}" for key, value in _OF_STACK.items())
    collections = {
        collection_path(manifest): manifest
        for manifest in declared.objects
        if manifest["metadata"].get("namespace")
    }
    for collection, manifest in collections.items():
        listing = api.get(f"{collection}?labelSelector={chosen}") or {}
        for item in listing.get("items") or ():
            metadata = item["metadata"]
            # A Job of a CronJob has the same labels and belongs to the CronJob.
            if (manifest["kind"], metadata["name"]) in known or metadata.get("ownerReferences"):
                continue
            created_s = epoch(metadata.get("creationTimestamp"))
            name, namespace = metadata["name"], metadata["namespace"]
            delete = kubectl(f"delete {manifest['kind'].lower()} {name}", namespace=namespace)
            yield presence_finding(
                f"{manifest['kind']} {name}",
                replace(_written(item, ("metadata", "labels"), PRESENT), time_s=created_s),
                ABSENT,
                f"{delete}, or {DEPLOY} if Terraform's state still has it",
            )
