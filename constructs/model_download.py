"""The download Job, which fills the volume with exactly the files of the lock."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict

from constructs import terraform as tf

from constructs.download_job_spec import DownloadJobSpec
from constructs.endpoint_namespace import EndpointNamespace
from constructs.model_store import ModelStore
from constructs.pod_program import PodProgram
from in_pod.download.contract import PLAN_FILE
from llama_swap_config.cluster.labels import DOWNLOAD, labels

_NAME = DOWNLOAD


class ModelDownload(tf.Construct):
    """A Job whose name contains a hash of its plan and program, so that each pair runs once.

    Its ConfigMap has the same name, so a running Job keeps its plan. It has no TTL: Terraform
    would re-create a Job that deletes itself. Terraform does not wait for it.
    """

    def __init__(
        self,
        scope: tf.Construct,
        id: str,
        *,
        namespace: EndpointNamespace,
        store: ModelStore,
        plan: str,
        modules: Mapping[str, str],
        spec: DownloadJobSpec,
    ) -> None:
        """Declare Job and ConfigMap.

        Args:
            scope: The stack.
            id: The construct's id.
            namespace: Their namespace.
            store: The volume to fill.
            plan: The download plan, JSON.
            modules: The download program: file name -> source.
            spec: How the Job runs.
        """
        super().__init__(scope, id)
        self.program = PodProgram(
            package="download", modules=modules, directory="/download", files={PLAN_FILE: plan}
        )
        content = json.dumps([self.program.data, asdict(spec)])
        self.name = f"{_NAME}-{hashlib.sha256(content.encode()).hexdigest()[:10]}"
        self.config_map = self.program.config_map(
            self, "plan", namespace=namespace, name=self.name, component=_NAME
        )
        tf.job_v1.JobV1(
            self,
            "Resource",
            metadata=tf.job_v1.JobV1Metadata(
                name=self.name, namespace=namespace.name, labels=labels(_NAME)
            ),
            spec=spec.build(
                component=_NAME, program=self.program, config_map=self.name, store=store
            ),
            wait_for_completion=False,
            depends_on=[self.config_map, store.claim],
        )
