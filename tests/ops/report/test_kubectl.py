"""kubectl commands as they are printed."""

from __future__ import annotations

import shlex

import pytest

from ops.report.kubectl import kubectl


def test_a_command_names_kubeconfig_context_and_namespace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KUBE_CONFIG_PATH", "/home/a b/config")
    monkeypatch.setenv("KUBE_CTX", "admin@home")
    assert shlex.split(kubectl("delete pod a", namespace="llama-cpp")) == [
        *("kubectl", "--kubeconfig", "/home/a b/config", "--context", "admin@home"),
        *("-n", "llama-cpp", "delete", "pod", "a"),
    ]


def test_an_object_without_a_namespace_and_a_command_without_a_cluster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("KUBE_CONFIG_PATH", raising=False)
    monkeypatch.setenv("KUBE_CTX", "")
    assert kubectl("patch pv a") == "kubectl patch pv a"
