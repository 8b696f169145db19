"""The real API server accepts the schedules that the settings accept, and refuses the others."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from lightkube import ApiError, Client, KubeConfig
from lightkube.codecs import from_dict

from llama_swap_config.cluster.cron import is_schedule
from ops.embedded.cluster import EmbeddedCluster
from tests.schedules import ACCEPTED, REFUSED


@pytest.fixture(scope="module")
def client(cluster: EmbeddedCluster) -> Iterator[Client]:
    config = KubeConfig.from_file(str(cluster.kubeconfig)).get(cluster.kube_context)
    with Client(config=config, trust_env=False) as connected:
        yield connected


def is_accepted(client: Client, schedule: str) -> bool:
    container = {"name": "a", "image": "example.org/a"}
    pod = {"restartPolicy": "Never", "containers": [container]}
    cron_job = from_dict(
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": "a", "namespace": "default"},
            "spec": {
                "schedule": schedule,
                "jobTemplate": {"spec": {"template": {"spec": pod}}},
            },
        }
    )
    try:
        client.create(cron_job, dry_run=True)
    except ApiError as error:
        if "spec.schedule" in str(error):
            return False
        raise
    return True


def test_the_api_server_accepts_and_refuses_the_same_schedules(client: Client) -> None:
    answers = {text: is_accepted(client, text) for text in (*ACCEPTED, *REFUSED)}
    assert answers == dict.fromkeys(ACCEPTED, True) | dict.fromkeys(REFUSED, False)


def test_the_api_server_agrees_on_random_schedules(client: Client) -> None:
    draw = random.Random(1)
    words = ("*", "?", "0", "1", "6", "7", "12", "13", "23", "24", "31", "59", "60", "mon", "DEC")

    def part() -> str:
        first, last = draw.choice(words), draw.choice(words[2:])
        interval = first if first in "*?" or draw.random() < 0.5 else f"{first}-{last}"
        return interval if draw.random() < 0.6 else f"{interval}/{draw.choice(words[2:])}"

    def field() -> str:
        return ",".join(part() for _ in range(draw.choice((1, 1, 1, 2))))

    schedules = [
        " ".join([*("*" * at), field(), *("*" * (4 - at))]) for _ in range(60) for at in range(5)
    ]
    answers = {text: is_accepted(client, text) for text in schedules}
    assert {text: is_schedule(text) for text in schedules} == answers
    assert 50 < sum(answers.values()) < len(answers) - 50
