"""The only file that imports cdktf.

ADR 1 has the command that moves this file to the library's successor. To keep the move that small,
the code uses only `*_v1` resources and never reads attributes of a resource's metadata.
"""

from __future__ import annotations

import os
from typing import Any, cast

from cdktf import (
    App,
    PgBackend,
    TerraformResource,
    TerraformResourceLifecycle,
    TerraformStack,
    Testing,
)
from constructs import Construct

from constructs.lazy_package import lazy_package

# `make bench-synth` measures what the lazy package saves.
if "LLAMA_CPP_EAGER_PROVIDER" not in os.environ:
    lazy_package("cdktf_cdktf_provider_kubernetes")

from cdktf_cdktf_provider_kubernetes import (
    config_map_v1,
    cron_job_v1,
    deployment_v1,
    job_v1,
    namespace_v1,
    network_policy_v1,
    persistent_volume_claim_v1,
    persistent_volume_v1,
    priority_class_v1,
    provider,
    role_binding_v1,
    role_v1,
    service_account_v1,
    service_v1,
)

__all__ = [
    "App",
    "Construct",
    "PgBackend",
    "TerraformResource",
    "TerraformStack",
    "Testing",
    "config_map_v1",
    "cron_job_v1",
    "deployment_v1",
    "forget",
    "job_template_spec",
    "job_v1",
    "lifecycle",
    "namespace_v1",
    "network_policy_v1",
    "persistent_volume_claim_v1",
    "persistent_volume_v1",
    "priority_class_v1",
    "provider",
    "role_binding_v1",
    "role_v1",
    "service_account_v1",
    "service_v1",
    "terraform_text",
]


def lifecycle(
    *, prevent_destroy: bool = False, ignore_changes: tuple[str, ...] = ()
) -> TerraformResourceLifecycle | None:
    """Make a resource's lifecycle block; None if it would be empty.

    Args:
        prevent_destroy: Whether Terraform refuses to delete the resource.
        ignore_changes: Fields that Terraform sets only when it creates the resource, as paths such
            as `spec[0].replicas`.
    """
    if not prevent_destroy and not ignore_changes:
        return None
    return TerraformResourceLifecycle(
        prevent_destroy=prevent_destroy or None, ignore_changes=list(ignore_changes) or None
    )


def forget(stack: TerraformStack, *addresses: str) -> None:
    """Make Terraform drop addresses from its state without changing their objects.

    Otherwise Terraform destroys everything in its state that the stack does not declare.

    Args:
        stack: The stack.
        addresses: Resources or modules; those that are not in the state are ignored.
    """
    blocks = [{"from": address, "lifecycle": {"destroy": False}} for address in addresses]
    stack.add_override("removed", blocks)


def terraform_text(text: str) -> str:
    """Escape `${` and `%{`, which Terraform would interpolate."""
    return text.replace("${", "$${").replace("%{", "%%{")


def job_template_spec(spec: job_v1.JobV1Spec) -> cron_job_v1.CronJobV1SpecJobTemplateSpec:
    """Convert a Job's spec to a CronJob's, for which the provider has classes of its own."""
    return cast(cron_job_v1.CronJobV1SpecJobTemplateSpec, _in_cron_job(spec))


def _in_cron_job(value: Any) -> Any:
    if isinstance(value, list):
        return [_in_cron_job(item) for item in value]
    name = type(value).__name__
    if not name.startswith("JobV1Spec"):
        return value
    struct = getattr(cron_job_v1, f"CronJobV1SpecJobTemplateSpec{name.removeprefix('JobV1Spec')}")
    return struct(**{field: _in_cron_job(content) for field, content in value._values.items()})
