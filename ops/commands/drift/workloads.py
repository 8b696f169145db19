"""Check what runs in the cluster: outdated pods, what failed, and a late GPU window."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from in_pod.gpu_window.contract import ANNOTATION, ENDPOINT_DEPLOYMENT, LEASE, LONGEST_S
from in_pod.gpu_window.errors import WindowError
from in_pod.gpu_window.timing import Timing
from in_pod.gpu_window.window import Window
from in_pod.kubernetes.pod_state import condition
from llama_swap_config.cluster.labels import CONFIG_ANNOTATION, UPKEEP, selector
from ops.cluster.api import Document, KubeApi
from ops.cluster.causes import failure_of
from ops.cluster.gpu_tenants import Holders, is_of_tenant, waiting, workload
from ops.cluster.object_states import ObjectState
from ops.cluster.rollout import Rollout, waits
from ops.cluster.workload_states import job_failure, owned_by
from ops.commands.drift.declared import DEPLOY, Declared, declared_value, of_stack
from ops.commands.drift.difference import ABSENT, Finding, Value, time_text, value_text
from ops.commands.drift.object_fields import epoch, last_writer
from ops.commands.drift.working_tree import SETTINGS_FILE
from ops.errors import one_line
from ops.report.kubectl import kubectl
from ops.report.redaction import redact

_WHERE = "in the cluster"
_LONGEST = 400
"""Characters of a reason: its end often says most."""
_WHOLE = {
    "Job": "Complete",
    "Namespace": "Active",
    "PersistentVolume": "Bound",
    "PersistentVolumeClaim": "Bound",
}
"""The state of an object that is not `ready` where all is well."""


def look(
    declared: Declared, api: KubeApi, config_map: Document | None
) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """Check the serving pods, the newest Jobs and the Lease of a GPU window.

    Args:
        declared: The working tree.
        api: The cluster.
        config_map: The front end's in the cluster; None: it does not exist.

    Returns:
        The findings, and remarks that are not drift.

    Raises:
        OpsError: if the API server does not answer or refuses.
    """
    namespace = declared.settings.namespace
    findings: list[Finding] = []
    for pod in _list(api, f"/api/v1/namespaces/{namespace}/pods", ENDPOINT_DEPLOYMENT):
        findings += pod_findings(declared, pod, config_map)
    states, state_notes = _states(declared, api)
    upkeep, upkeep_notes = _upkeep(namespace, api)
    lease = api.get(f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{LEASE}")
    if lease is None:
        windows, window_notes = _tenants(declared, api)
    else:
        windows, window_notes = window(lease, api.now(), option=declared.pool_option)
    return (
        (*findings, *states, *upkeep, *windows),
        (*state_notes, *upkeep_notes, *window_notes),
    )


def _states(declared: Declared, api: KubeApi) -> tuple[list[Finding], list[str]]:
    """Say what has failed, and what waits, by the table that a deploy uses."""
    settings = declared.settings
    rollout = Rollout(
        api,
        declared.objects,
        resource=settings.gpu.resource,
        tenants=settings.tenants,
        node_selector=declared.node_selector,
    )
    # An object that does not exist is a difference of its own.
    states = [each for each in rollout.look() if each.state != ABSENT]
    findings = [_failure(settings.namespace, each) for each in states if each.meaning == "failed"]
    waiting = [each for each in states if each.meaning in ("waits", "declared")]
    return findings, list(waits(waiting))


def _failure(namespace: str, found: ObjectState) -> Finding:
    remedy = failure_of(found.cause).remedy
    if found.kind == "Job":
        remedy = (
            f"{kubectl(f'logs job/{found.name}', namespace=namespace)} shows why; after "
            f"{kubectl(f'delete job {found.name}', namespace=namespace)} {DEPLOY} runs it again"
        )
    text = f"{found.state}: {found.reason}"
    return _status(found.kind, found.name, text, since=found.since, remedy=remedy)


def _status(kind: str, name: str, text: str, *, since: str | None, remedy: str) -> Finding:
    return Finding(
        subject=f"{kind} {name}",
        field="status",
        found=Value(
            text=one_line(redact(text), limit=_LONGEST), where=_WHERE, time_s=epoch(since)
        ),
        declared=of_stack(_WHOLE.get(kind, "ready")),
        remedy=remedy,
    )


def _list(api: KubeApi, collection: str, component: str) -> list[Document]:
    chosen = ",".join(f"{key}={value}" for key, value in selector(component).items())
    listing = api.get(f"{collection}?labelSelector={chosen}") or {}
    items: list[Document] = listing.get("items") or []
    return items


def pod_findings(
    declared: Declared, pod: Document, config_map: Document | None
) -> Iterator[Finding]:
    """Compare a serving pod with its ConfigMap, and its image with the declared one."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    if metadata.get("deletionTimestamp") or status.get("phase") not in ("Running", "Pending"):
        return
    subject = f"Pod {metadata['name']}"
    started_s = epoch(status.get("startTime"))
    key = declared.program.config_key
    content = ((config_map or {}).get("data") or {}).get(key)
    checksum = (metadata.get("annotations") or {}).get(CONFIG_ANNOTATION)
    if config_map is not None and content is not None and checksum is not None:
        is_now = hashlib.sha256(content.encode()).hexdigest()
        _, changed_s = last_writer(config_map, ("data", key))
        restarted = None not in (started_s, changed_s) and (started_s or 0) > (changed_s or 0)
        if checksum != is_now and not restarted:
            changed = f", changed {time_text(changed_s)}" if changed_s else ""
            # Not `rollout restart`: its annotation in the template would itself be drift.
            restart = kubectl(f"delete pod {metadata['name']}", namespace=metadata["namespace"])
            yield Finding(
                subject=subject,
                field="configuration",
                found=Value(text=f"sha256 {checksum[:12]}", where="in the pod", time_s=started_s),
                declared=Value(text=f"sha256 {is_now[:12]}", where=f"in the ConfigMap{changed}"),
                remedy=f"the pod runs an older configuration: {restart} loads the ConfigMap's, "
                f"{DEPLOY} the declared one",
            )
    yield from _image(declared, status, subject, started_s)


def _image(
    declared: Declared, status: Document, subject: str, started_s: float | None
) -> Iterator[Finding]:
    """Compare the digest of the pulled image, which identifies the engine's build."""
    wanted = declared.settings.llama_swap_image
    for container in status.get("containerStatuses") or ():
        _, separator, digest = str(container.get("imageID") or "").partition("@")
        if (
            container.get("name") != ENDPOINT_DEPLOYMENT
            or not separator
            or wanted.endswith(f"@{digest}")
        ):
            continue
        build = f"llama.cpp b{declared.settings.engine_build}"
        yield Finding(
            subject=subject,
            field="imageID",
            found=Value(text=value_text("imageID", digest), where="in the pod", time_s=started_s),
            declared=of_stack(value_text("imageID", wanted.partition("@")[2]), ".image"),
            remedy=f"its engine may not be {build}: {DEPLOY} restores the image, "
            f"or declare image and engine_build in {SETTINGS_FILE}",
        )


def _upkeep(namespace: str, api: KubeApi) -> tuple[list[Finding], list[str]]:
    """Look at the last run of the upkeep, which is a Job of its CronJob."""
    jobs = _list(api, f"/apis/batch/v1/namespaces/{namespace}/jobs", UPKEEP)
    if not jobs:
        return [], []
    last = max(jobs, key=lambda job: job["metadata"].get("creationTimestamp") or "")
    name = last["metadata"]["name"]
    failed = condition(last, "Failed")
    if failed.get("status") == "True":
        pods = owned_by(last, _list(api, f"/api/v1/namespaces/{namespace}/pods", UPKEEP))
        again = f"create job --from=cronjob/{UPKEEP} {UPKEEP}-again"
        remedy = (
            f"{kubectl(f'logs job/{name}', namespace=namespace)} shows why; "
            f"{kubectl(again, namespace=namespace)} runs it again"
        )
        text = f"Failed: {job_failure(last, pods)}"
        since = failed.get("lastTransitionTime")
        return [_status("Job", name, text, since=since, remedy=remedy)], []
    if condition(last, "Complete").get("status") == "True":
        return [], []
    return [], [f"Job {name} is not finished"]


def _tenants(declared: Declared, api: KubeApi) -> tuple[list[Finding], list[str]]:
    """Look for tenants that wait for the card outside a window, in which it is theirs."""
    settings = declared.settings
    resource = settings.gpu.resource
    cluster = Window(
        api, namespace=settings.namespace, say=lambda _line: None, timing=Timing(patience_s=0)
    )
    findings, notes = [], []
    for tenant in map(workload, settings.tenants):
        subject = f"{tenant.kind} {tenant}"
        try:
            pods = waiting(cluster, tenant, resource)
        except WindowError as error:
            notes.append(f"whether {subject} waits for the card is not known ({error})")
            continue
        looked = Holders(
            api, resource, tenants=settings.tenants, node_selector=declared.node_selector
        )
        holders = looked.pods() if pods else ()
        if holders and all(is_of_tenant(holder, settings.tenants) for holder in holders):
            # Of two replicas only one may ever have fitted.
            notes.append(f"{subject}: {pods} waits for the card, which {', '.join(holders)} holds")
        elif pods:
            held_by = ", ".join(holders) or "a pod that this account may not list"
            findings.append(
                Finding(
                    subject=subject,
                    field="card",
                    found=Value(text=f"waited for by {value_text('pods', pods)}", where=_WHERE),
                    declared=declared_value("the tenant's outside a window", SETTINGS_FILE),
                    remedy=f"{value_text('holders', held_by)} holds it: end that pod, or declare "
                    "it in sharing",
                )
            )
    return findings, notes


def window(lease: Document, now_s: float, *, option: str = "") -> tuple[list[Finding], list[str]]:
    """Check a GPU window: only one past its deadline is drift.

    Args:
        lease: Its Lease, which exists until everything is restored.
        now_s: By the API server's clock, in seconds since 1970.
        option: What `ops window` needs to act on its pool (default: it is the only one).

    Returns:
        The findings, and remarks that are not drift.
    """
    spec = lease.get("spec") or {}
    holder = value_text("holder", spec.get("holderIdentity") or "no holder")
    deadline_s = _deadline(lease)
    if deadline_s is not None:
        # A forged deadline keeps no window open for ever.
        deadline_s = min(deadline_s, (epoch(spec.get("renewTime")) or 0) + LONGEST_S)
    if deadline_s is not None and deadline_s > now_s:
        return [], [f"a GPU window of {holder} is open until {time_text(deadline_s)}"]
    until = "its deadline is not readable"
    if deadline_s is not None:
        until = f"past its deadline {time_text(deadline_s)}"
    return [
        Finding(
            subject=f"Lease {LEASE}",
            field="window",
            found=Value(
                text=f"still open, {until}",
                where=_WHERE,
                who=holder,
                time_s=epoch(spec.get("renewTime") or spec.get("acquireTime")),
            ),
            declared=Value(text="closed", where="declared"),
            remedy=f"python -m ops window{option} --restore restores the GPU's other users",
        )
    ], []


def _deadline(lease: Document) -> float | None:
    annotations = lease["metadata"].get("annotations") or {}
    try:
        return epoch(json.loads(annotations[ANNOTATION])["deadline"])
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
