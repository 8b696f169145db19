"""Keys change under load, as kubelet swaps a mounted Secret, without one failed request."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.real.gateway.gateway import Gateway, consumer, gateway, key_line, model, new_key

CLIENTS = 4
ROTATIONS = 5


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    consumers = (consumer("poster", "photos", parallel_requests=9), consumer("agent", "photos"))
    with gateway((model("photos"),), consumers, folder) as started:
        yield started
        for line in started.log.splitlines():
            assert "sk-" not in line


class Secret:
    """The directory as kubelet mounts it: links through `..data`, which is renamed at once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._texts = {path.name: path.read_text() for path in directory.iterdir()}
        self._version = 0
        for name in self._texts:
            (directory / name).unlink()
        self.write()
        for name in self._texts:
            (directory / name).symlink_to(f"..data/{name}")

    def write(self, **texts: str) -> None:
        self._texts |= texts
        self._version += 1
        version = self._directory / f"..{self._version}"
        version.mkdir()
        for name, text in self._texts.items():
            (version / name).write_text(text)
        link = self._directory / "..data_tmp"
        link.symlink_to(version.name)
        link.rename(self._directory / "..data")


class Client(threading.Thread):
    """Asks without a pause, with the key that is current when a request begins."""

    def __init__(self, url: str, keys: list[str], over: threading.Event) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._keys = keys
        self._over = over
        self.statuses: list[int] = []

    def run(self) -> None:
        with httpx2.Client(base_url=self._url, timeout=60, trust_env=False) as client:
            while not self._over.is_set():
                headers = {"authorization": f"Bearer {self._keys[-1]}"}
                body = {"model": "photos", "content": "hi"}
                answer = client.post("/tokenize", json=body, headers=headers)
                self.statuses.append(answer.status_code)


def test_a_key_rotates_under_load_without_a_failed_request(running: Gateway) -> None:
    assert running.chat("poster", "photos").status_code == 200
    secret = Secret(running.keys_dir)
    keys, over = [running.keys["poster"]], threading.Event()
    clients = [Client(running.url, keys, over) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        for _ in range(ROTATIONS):
            answered = [len(client.statuses) for client in clients]
            old, new = keys[-1], new_key()
            secret.write(poster=key_line(old) + key_line(new))
            keys.append(new)
            # The old key is retired when nobody uses it any more.
            while any(
                len(client.statuses) < before + 5
                for client, before in zip(clients, answered, strict=True)
            ):
                over.wait(0.01)
            secret.write(poster=key_line(new))
    finally:
        over.set()
        for client in clients:
            client.join()
    statuses = [status for client in clients for status in client.statuses]
    assert set(statuses) == {200}
    assert len(statuses) >= CLIENTS * ROTATIONS * 5
    # The last key is valid, and none of the former ones.
    for number, key in enumerate(reversed(keys)):
        with running.client(headers={"authorization": f"Bearer {key}"}) as asking:
            assert asking.get("/v1/models").status_code == (401 if number else 200)


@pytest.mark.parametrize("text", ["sha256:abc", "", "sk-a-key-that-somebody-wrote-here\n"])
def test_a_broken_entry_closes_its_consumer_only(running: Gateway, text: str) -> None:
    path = running.keys_dir / "agent"
    whole = path.read_text()
    closed = 'gateway_consumer_closed{consumer="agent"} 1.0'
    with running.client("agent") as client:
        assert closed not in client.get("/metrics/").text
        assert client.get("/v1/models").status_code == 200
        path.write_text(text)
        assert client.get("/v1/models").status_code == 401
        assert closed in client.get("/metrics/").text
        path.write_text(whole)
        assert client.get("/v1/models").status_code == 200
    assert "consumer agent is closed" in running.log
