"""Whether an API server answers, and for whom, by a request that every account may make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.cluster.api import ForbiddenError, KubeApi, UnreachableError
from ops.errors import OpsError
from tests.fakes.api_server import Answers, api_server

SPEC = {"resourceAttributes": {"verb": "get", "resource": "pods"}}


def version_of(folder: Path, answers: Answers) -> str:
    with api_server(folder, answers) as target, KubeApi(target) as api:
        return api.check_reachable()


def test_an_account_without_any_right_reaches_the_api_server(tmp_path: Path) -> None:
    assert version_of(tmp_path, {"/version": (200, {"gitVersion": "v1.36.3"})}) == "v1.36.3"
    assert version_of(tmp_path, {"/version": (403, {"message": "forbidden"})}) == ""


def test_refused_credentials_are_named_as_that(tmp_path: Path) -> None:
    with pytest.raises(OpsError) as caught:
        version_of(tmp_path, {"/version": (401, {"message": "Unauthorized"})})
    assert str(caught.value) == (
        "the API server of KUBE_CTX 'home' refuses the credentials (401: Unauthorized); renew "
        f"those of its user in {tmp_path}/kubeconfig"
    )


@pytest.mark.parametrize(
    ("command", "version", "reason"),
    [
        ("no-such-plugin", "v1beta1", "No such file or directory: 'no-such-plugin'"),
        ("false", "v1beta1", "Exec false returned 1"),
        ("echo", "v1beta1", "Expecting value"),
        ("true", "v2", "version client.authentication.k8s.io/v2 not implemented"),
    ],
)
def test_credentials_that_a_plugin_does_not_give(
    tmp_path: Path, command: str, version: str, reason: str
) -> None:
    with api_server(tmp_path, {}) as target:
        config = yaml.safe_load(target.config_path.read_text())
        plugin = {"command": command, "apiVersion": f"client.authentication.k8s.io/{version}"}
        config["users"][0]["user"] = {"exec": plugin}
        target.config_path.write_text(yaml.safe_dump(config))
        with KubeApi(target) as api, pytest.raises(OpsError) as caught:
            api.check_reachable()
    assert str(caught.value).startswith("the credentials of KUBE_CTX 'home' cannot be had (")
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((503, {"message": "apiserver not ready"}), "503: apiserver not ready"),
        ((200, "<html>Sign in</html>"), "200: <html>Sign in</html>"),
        ((200, "[1]"), "200: [1]"),
        ((404, {"message": "not found"}), "404: not found"),
    ],
)
def test_what_is_no_api_server_does_not_answer(
    tmp_path: Path, answer: tuple[int, Any], reason: str
) -> None:
    with pytest.raises(OpsError, match="does not answer") as caught:
        version_of(tmp_path, {"/version": answer})
    assert f"({reason})" in str(caught.value)


@pytest.mark.parametrize(
    ("status", "error"), [(403, ForbiddenError), (429, UnreachableError), (500, UnreachableError)]
)
def test_a_review_that_is_refused_is_an_error(
    tmp_path: Path, status: int, error: type[OpsError]
) -> None:
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    with api_server(tmp_path, {path: (status, {"message": "no"})}) as target:
        with KubeApi(target) as api, pytest.raises(OpsError, match=f"{status}: no") as caught:
            api.review("authorization.k8s.io/v1", "SelfSubjectAccessReview", SPEC)
    assert type(caught.value) is error


def test_a_review_that_this_server_lacks_has_no_status(tmp_path: Path) -> None:
    with api_server(tmp_path, {}) as target, KubeApi(target) as api:
        assert api.review("authentication.k8s.io/v1", "SelfSubjectReview", {}) is None
