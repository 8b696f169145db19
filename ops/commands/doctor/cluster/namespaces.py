"""What has to be in the namespaces of the endpoint, its gateway, its clients and the tenants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from llama_swap_config.cluster.gpu_tenants import GpuTenant
from llama_swap_config.cluster.labels import APP
from llama_swap_config.declaration import load
from llama_swap_config.gateway.settings import ExistingGateway, Gateway
from ops.cluster import object_states
from ops.cluster.paths import object_path
from ops.commands.doctor.cluster.check import EDIT, Check, Cluster, made
from ops.report.kubectl import kubectl
from ops.terraform.manifests import Manifest
from ops.terraform.verdict import LABEL, has_label


@dataclass(frozen=True, slots=True, kw_only=True)
class _Secret:
    """A Secret of the settings, in the endpoint's namespace."""

    name: str
    keys: tuple[str, ...]
    value: str
    """A shell's expression of a new key's value."""
    is_needed: bool = True
    """Whether a pod waits for it."""
    is_shared: bool = False
    """Whether each pool has a copy of the first pool's."""


def checks(cluster: Cluster) -> Iterator[Check]:
    """Check namespaces, the objects of this stack's names, tenants and Secrets.

    Raises:
        UnreachableError: if the API server does not answer.
    """
    settings = cluster.settings
    yield from made(f"namespace {settings.namespace}", _own(cluster))
    yield from made("names of the objects", _names(cluster))
    yield from made("client namespaces", _clients(cluster), is_needed=False)
    if settings.gateway is not None and cluster.first is None:
        yield from made("gateway", _gateway(cluster, settings.gateway))
    for tenant in settings.tenants:
        yield from made(f"tenant {tenant}", _tenant(cluster, tenant))
    for number, secret in enumerate(_secrets(cluster)):
        yield from made(
            f"Secret {secret.name}",
            _secret(cluster, secret, is_first=number == 0),
            is_needed=secret.is_needed,
        )
    yield from made("quotas", _quotas(cluster), is_needed=False)


def _own(cluster: Cluster) -> Iterator[Check]:
    name = cluster.settings.namespace
    live = cluster.api.get(f"/api/v1/namespaces/{name}")
    found, remedy = "not there yet", ""
    if live is not None:
        found = "there"
        for state in object_states.namespace(live):
            found, remedy = state.state, f"Wait until it is gone: {state.reason}."
    yield Check(
        name=f"namespace {name}",
        found=found,
        wanted="there, or not there yet",
        status="wrong" if remedy else "ok",
        remedy=remedy,
    )


def _names(cluster: Cluster) -> Iterator[Check]:
    """Look for objects of this stack's names that are somebody else's, which a deploy refuses."""
    found, foreign = 0, []
    for manifest in cluster.objects:
        live = cluster.api.get(object_path(manifest))
        found += live is not None
        if live is not None and not has_label(live["metadata"].get("labels") or {}):
            foreign.append(manifest)
    yield Check(
        name="names of the objects",
        found=f"taken by {', '.join(map(_spelled, foreign))}"
        if foreign
        else f"{found} of {len(cluster.objects)} are there",
        wanted=f"free, or of objects with the label {LABEL}={APP}",
        status="wrong" if foreign else "ok",
        remedy="A deploy refuses that. `python -m ops adopt` takes over an endpoint that runs "
        f"already, after it has shown how; otherwise choose other names {EDIT}.",
    )


def _clients(cluster: Cluster) -> Iterator[Check]:
    """Look for the namespaces whose pods the stack's NetworkPolicies admit."""
    names = tuple(dict.fromkeys(_admitted(cluster.objects)))
    if not names:
        return
    missing = [name for name in names if cluster.api.get(f"/api/v1/namespaces/{name}") is None]
    yield Check(
        name="client namespaces",
        found=f"missing: {', '.join(missing)}" if missing else "there",
        wanted=", ".join(names),
        status="wrong" if missing else "ok",
        is_needed=False,
        remedy="Create what is missing, or correct llama_swap_config/consumers.py or "
        f"monitoring_namespaces {EDIT}.",
    )


def _admitted(objects: Iterable[Manifest]) -> Iterator[str]:
    for manifest in objects:
        if manifest["kind"] != "NetworkPolicy":
            continue
        for rule in manifest["spec"].get("ingress", ()):
            for peer in rule["from"]:
                for expression in peer.get("namespaceSelector", {}).get("matchExpressions", ()):
                    yield from expression["values"]


def _gateway(cluster: Cluster, gateway: Gateway | ExistingGateway) -> Iterator[Check]:
    """Look for the gateway's namespace, unless it is the endpoint's, and its consumers' keys."""
    namespace = cluster.settings.namespace
    if isinstance(gateway, ExistingGateway):
        namespace = gateway.namespace
        is_there = cluster.api.get(f"/api/v1/namespaces/{namespace}") is not None
        yield Check(
            name=f"gateway's namespace {namespace}",
            found="there" if is_there else "not there",
            wanted="there",
            status="ok" if is_there else "wrong",
            remedy="A deploy makes ConfigMaps in it: "
            f"`{kubectl(f'create namespace {namespace}')}`, or correct gateway.namespace {EDIT}.",
        )
    live = cluster.api.get(f"/api/v1/namespaces/{namespace}/secrets/{gateway.keys_secret}")
    with_key = sorted((live or {}).get("data") or {})
    consumers = [consumer.name for consumer in load().consumers]
    yield Check(
        name=f"Secret {gateway.keys_secret}",
        found=", ".join(with_key) or "no consumer has a key",
        wanted=", ".join(consumers) or "no entry: there are no consumers",
        status="ok" if set(consumers) <= set(with_key) else "wrong",
        is_needed=False,
        remedy="`python -m ops gateway keys new CONSUMER` makes the key of a consumer.",
    )


def _tenant(cluster: Cluster, tenant: GpuTenant) -> Iterator[Check]:
    manifest = {
        "apiVersion": "apps/v1",
        "kind": tenant.kind,
        "metadata": {"name": tenant.name, "namespace": tenant.namespace},
    }
    found, remedy = "there", ""
    if cluster.api.get(f"/api/v1/namespaces/{tenant.namespace}") is None:
        found = f"namespace {tenant.namespace} is not there"
        remedy = (
            "A deploy makes a Role in it: `"
            f"{kubectl(f'create namespace {tenant.namespace}')}`, or "
            f"correct sharing.tenants {EDIT} (without tenants: sharing=Alone())."
        )
    elif cluster.api.get(object_path(manifest)) is None:
        found = f"{tenant.kind} {tenant.name} is not there"
        remedy = (
            f"Correct sharing.tenants {EDIT}: `"
            f"{kubectl(f'get {tenant.kind.lower()}s', namespace=tenant.namespace)}` lists them."
        )
    yield Check(
        name=f"tenant {tenant}",
        found=found,
        wanted=f"{tenant.kind} {tenant}",
        status="wrong" if remedy else "ok",
        remedy=remedy,
    )


def _secret(cluster: Cluster, secret: _Secret, *, is_first: bool) -> Iterator[Check]:
    """Look for a Secret's keys; nothing shows their values.

    The gateway sends one key to all pools, so a further pool's Secret has to equal the first
    pool's. The command of the first Secret also makes the namespace, with the label of a deploy's
    own.
    """
    namespace = cluster.settings.namespace
    live = cluster.api.get(f"/api/v1/namespaces/{namespace}/secrets/{secret.name}")
    data = (live or {}).get("data") or {}
    missing = [key for key in secret.keys if not data.get(key)]
    found, before = "there", ""
    first = cluster.first if secret.is_shared else None
    differing: list[str] = []
    if live is None:
        found = "not there"
        if is_first and cluster.api.get(f"/api/v1/namespaces/{namespace}") is None:
            create = kubectl(f"create namespace {namespace}")
            before = f"{create} && {kubectl(f'label namespace {namespace} {LABEL}={APP}')} && "
    elif missing:
        found = f"missing: {', '.join(missing)}"
    elif first is not None:
        origin = cluster.api.get(f"/api/v1/namespaces/{first.namespace}/secrets/{secret.name}")
        original = (origin or {}).get("data") or {}
        differing = [key for key in secret.keys if original.get(key, data[key]) != data[key]]
        if differing:
            found = f"another {', '.join(differing)} than in {first.namespace}"
    command = (
        _written(cluster, secret, missing, is_new=live is None)
        if first is None
        else copy_secret(secret.name, first.namespace, namespace)
    )
    yield Check(
        name=f"Secret {secret.name}",
        found=found,
        wanted=", ".join(secret.keys) + (f", as in {first.namespace}" if first else ""),
        status="wrong" if missing or differing else "ok",
        is_needed=secret.is_needed,
        remedy=f"`{before}{command}`.",
    )


def copy_secret(name: str, namespace: str, to_namespace: str) -> str:
    """Return the command line that copies a Secret, whose values are in no program's arguments.

    Args:
        name: The Secret.
        namespace: Where it is.
        to_namespace: Where its copy is made, or replaced.
    """
    lines = '{{range $key, $value := .data}}{{$key}}={{base64decode $value}}{{"\\n"}}{{end}}'
    get = kubectl(f"get secret {name} -o go-template='{lines}'", namespace=namespace)
    create = kubectl(
        f"create secret generic {name} --from-env-file=/dev/stdin --dry-run=client -o yaml",
        namespace=to_namespace,
    )
    apply = kubectl("apply --server-side --force-conflicts -f -", namespace=to_namespace)
    return f"{get} | {create} | {apply}"


def _written(cluster: Cluster, secret: _Secret, keys: Sequence[str], *, is_new: bool) -> str:
    """Return the command line that adds keys, whose values are in no program's arguments."""
    values = " ".join([f'"{secret.value}"'] * len(keys))
    namespace = cluster.settings.namespace
    if is_new:
        lines = "".join(f"{key}=%s\\n" for key in keys)
        create = f"create secret generic {secret.name} --from-env-file=/dev/stdin"
        return f"printf '{lines}' {values} | {kubectl(create, namespace=namespace)}"
    entries = ",".join(f'"{key}":"%s"' for key in keys)
    patch = kubectl(f"patch secret {secret.name} --patch-file=/dev/stdin", namespace=namespace)
    return f"""printf '{{"stringData":{{{entries}}}}}' {values} | {patch}"""


def _quotas(cluster: Cluster) -> Iterator[Check]:
    namespace = cluster.settings.namespace
    names = [
        f"{kind} {item['metadata']['name']}"
        for kind, resource in (("ResourceQuota", "resourcequotas"), ("LimitRange", "limitranges"))
        for item in cluster.items(f"/api/v1/namespaces/{namespace}/{resource}")
    ]
    yield Check(
        name="quotas",
        found=", ".join(names) or "none",
        wanted="room for the pods",
        status="wrong" if names else "ok",
        is_needed=False,
        remedy=f"Compare with resources {EDIT}: `"
        f"{kubectl('describe resourcequota,limitrange', namespace=namespace)}`. A deploy whose "
        "pod they refuse ends with exit code 13.",
    )


def _secrets(cluster: Cluster) -> Iterator[_Secret]:
    settings = cluster.settings
    if settings.api_key_secret is not None:
        yield _Secret(
            name=settings.api_key_secret,
            keys=settings.llama_swap.api_key_env,
            value="$(openssl rand -hex 24)",
            is_shared=True,
        )
    downloads = any(manifest["kind"] == "Job" for manifest in cluster.objects)
    if settings.hf_token_secret is not None and downloads:
        yield _Secret(
            name=settings.hf_token_secret,
            keys=("HF_TOKEN",),
            value="$HF_TOKEN",
            is_shared=True,
        )
    for tenant in settings.tenants:
        if tenant.queues is not None and tenant.queues.api_key_secret is not None:
            yield _Secret(
                name=tenant.queues.api_key_secret,
                keys=("IMMICH_API_KEY",),
                value="$IMMICH_API_KEY",
                is_needed=False,
            )


def _spelled(manifest: Manifest) -> str:
    namespace = manifest["metadata"].get("namespace")
    name = manifest["metadata"]["name"]
    return f"{manifest['kind']} {namespace}/{name}" if namespace else f"{manifest['kind']} {name}"
