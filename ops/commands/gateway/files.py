"""What a LiteLLM that runs already mounts, as files to read and to apply without Terraform."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from in_pod.gateway.contract import (
    CONFIG_DIR,
    CONFIG_FILE,
    ENDPOINT_KEY_VARIABLE,
    HOOKS_DIR,
    KEYS_DIR,
    KEYS_VARIABLE,
    PACKAGE,
    POLICY_FILE,
    POLICY_VARIABLE,
)
from llama_swap_config.gateway.litellm import ENVIRONMENT
from llama_swap_config.gateway.settings import ExistingGateway
from ops.cluster.gateway_keys import keys_place
from ops.errors import OpsError, writing
from ops.terraform.manifests import Manifest

ENDPOINT_KEY_SECRET = "llama-swap-key"  # noqa: S105 - A name.
_CONTAINER = "litellm"
_PATCH = f"""\
# Lines for LiteLLM's Deployment, whose container is {_CONTAINER} here:
#   kubectl -n {{namespace}} patch deployment NAME --patch-file {{path}}
# Beforehand, the endpoint's key, one of its llama_swap.api_key_env, from standard input:
#   kubectl -n {{namespace}} create secret generic {ENDPOINT_KEY_SECRET} \\
#     --from-file={ENDPOINT_KEY_VARIABLE}=/dev/stdin
# A configuration of your own needs one line: include: [{CONFIG_DIR}/{CONFIG_FILE}]. Its
# litellm_settings, router_settings and general_settings are replaced by those of that file.
# LiteLLM reads the ConfigMaps when it starts: restart it after a deploy that changes them.
"""


def existing_gateway(gateway: object) -> ExistingGateway:
    """Return the gateway of the settings if it runs already.

    Raises:
        OpsError: when there is none, or the stack deploys it.
    """
    if not isinstance(gateway, ExistingGateway):
        why = (
            "a gateway that the stack deploys has these files already"
            if gateway is not None
            else "no LiteLLM is declared"
        )
        raise OpsError(
            f"gateway is {'Gateway(...)' if gateway is not None else 'None'} in stacks/production"
            f".py; expected ExistingGateway(...), which mounts these files: {why}"
        )
    return gateway


def write_files(out: Path, objects: Iterable[Manifest], gateway: ExistingGateway) -> None:
    """Write the gateway's ConfigMaps as files, its Secret without keys, and a patch.

    Args:
        out: A directory that is new or empty.
        objects: The stack's objects.
        gateway: The gateway of the settings.

    Raises:
        OpsError: when the directory is not empty, or a file cannot be written.
    """
    maps = [
        made
        for made in objects
        if made["kind"] == "ConfigMap" and made["metadata"]["namespace"] == gateway.namespace
    ]
    (config,) = (made for made in maps if CONFIG_FILE in made["data"])
    (hooks,) = (made for made in maps if CONFIG_FILE not in made["data"])
    secret = keys_place(gateway, endpoint_namespace=gateway.namespace).manifest
    patch = out / "deployment-patch.yaml"
    texts = {
        **{out / "config" / name: text for name, text in config["data"].items()},
        **{out / "hooks" / PACKAGE / name: text for name, text in hooks["data"].items()},
        out / "secret.yaml": _yaml(secret),
        patch: _PATCH.format(namespace=gateway.namespace, path=patch)
        + _yaml(_patch(gateway, config=_name(config), hooks=_name(hooks))),
    }
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise OpsError(
                f"{out} is not empty; expected a new or an empty directory, which has no module "
                "of an older commit. Name another"
            )
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def _patch(gateway: ExistingGateway, *, config: str, hooks: str) -> dict[str, Any]:
    """Make the strategic merge patch of a Deployment."""
    variables = {
        **ENVIRONMENT,
        "PYTHONPATH": HOOKS_DIR,
        POLICY_VARIABLE: f"{CONFIG_DIR}/{POLICY_FILE}",
        KEYS_VARIABLE: KEYS_DIR,
    }
    endpoint_key = {"name": ENDPOINT_KEY_SECRET, "key": ENDPOINT_KEY_VARIABLE}
    container = {
        "name": _CONTAINER,
        "args": [
            *("--config", f"{CONFIG_DIR}/{CONFIG_FILE}"),
            *("--host", "0.0.0.0"),  # noqa: S104 - In the pod.
            *("--port", str(gateway.port)),
        ],
        "env": [
            *({"name": name, "value": value} for name, value in variables.items()),
            {"name": ENDPOINT_KEY_VARIABLE, "valueFrom": {"secretKeyRef": endpoint_key}},
        ],
        "volumeMounts": [
            {"name": "gateway-config", "mountPath": CONFIG_DIR, "readOnly": True},
            {"name": "gateway-hooks", "mountPath": f"{HOOKS_DIR}/{PACKAGE}", "readOnly": True},
            {"name": "gateway-keys", "mountPath": KEYS_DIR, "readOnly": True},
        ],
    }
    volumes = [
        {"name": "gateway-config", "configMap": {"name": config}},
        {"name": "gateway-hooks", "configMap": {"name": hooks}},
        {
            "name": "gateway-keys",
            "secret": {"secretName": gateway.keys_secret, "optional": True},
        },
    ]
    return {"spec": {"template": {"spec": {"containers": [container], "volumes": volumes}}}}


def _name(manifest: Manifest) -> str:
    return str(manifest["metadata"]["name"])


def _yaml(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False, width=96)
