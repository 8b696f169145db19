"""Certificates: private authorities, and the true cause of each refusal."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from in_pod.download.__main__ import main
from in_pod.download.contract import NOT_AS_PLANNED
from in_pod.download.tls import client_context
from tests.fakes import hubs
from tests.fakes.authority import Authority, self_signed_context
from tests.in_pod.download.volume import Source
from tests.in_pod.download.ways import forget_environment

pytestmark = pytest.mark.usefixtures("signals")
SET_CA = ". If a private CA or a proxy signed it, set SSL_CERT_FILE to the file of that CA."


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_environment(monkeypatch)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    (tmp_path / "authority").mkdir()
    return Authority(tmp_path / "authority")


Download = Callable[[ssl.SSLContext], tuple[int, str]]


@pytest.fixture
def download(
    source: Source,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Download:
    """Download from a hub with a certificate; returns exit code and error."""

    def run(context: ssl.SSLContext) -> tuple[int, str]:
        with hubs.Hub(source.files) as hub:
            hub.socket = context.wrap_socket(hub.socket, server_side=True)
            monkeypatch.setenv("HF_ENDPOINT", hub.url.replace("http:", "https:"))
            plan = ("--plan", str(source.plan_path), "--models", str(models))
            code = main([*plan, "--timeout-s=5", "--patience-s=1", "--wait-s=0"])
        return code, capsys.readouterr().err

    return run


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "both"])
def test_a_private_authority_is_trusted(
    variable: str,
    download: Download,
    authority: Authority,
    source: Source,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = f"/nowhere:{authority.path.parent}"  # A ConfigMap's folder has no hashed names.
    if variable != "SSL_CERT_DIR":
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    if variable != "SSL_CERT_FILE":
        monkeypatch.setenv("SSL_CERT_DIR", folder)
    assert download(authority.server_context("127.0.0.1")) == (0, "")
    assert source.is_published(models)


def test_a_private_authority_without_key_identifiers_is_trusted_by_a_strict_python(
    download: Download, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = ssl.create_default_context

    def of_python_3_13() -> ssl.SSLContext:
        context = usual()
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", of_python_3_13)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    assert download(authority.server_context("127.0.0.1")) == (0, "")


def test_a_certificate_of_an_unknown_authority_is_named(
    download: Download, authority: Authority
) -> None:
    assert download(authority.server_context("127.0.0.1")) == (
        NOT_AS_PLANNED,
        "error: 127.0.0.1: its certificate is not trusted (unable to get local issuer "
        f"certificate){SET_CA}\n",
    )


def test_a_self_signed_certificate_is_named(download: Download, tmp_path: Path) -> None:
    assert download(self_signed_context(tmp_path, "127.0.0.1")) == (
        NOT_AS_PLANNED,
        f"error: 127.0.0.1: its certificate is not trusted (self-signed certificate){SET_CA}\n",
    )


def test_a_certificate_of_another_name_is_named(
    download: Download, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    code, error = download(authority.server_context("another.test"))
    assert code == NOT_AS_PLANNED
    assert "not trusted (IP address mismatch, certificate is not valid for '127.0.0.1')" in error
    assert "SSL_CERT_FILE" not in error


def test_an_expired_certificate_is_named(
    download: Download, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    context = authority.server_context("127.0.0.1", left=-timedelta(days=1))
    assert download(context) == (
        NOT_AS_PLANNED,
        "error: 127.0.0.1: its certificate is not trusted (certificate has expired). Check this "
        "machine's clock.\n",
    )


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
@pytest.mark.parametrize("kind", ["missing", "empty", "not PEM"])
def test_a_variable_without_certificates_is_named(
    kind: str,
    variable: str,
    download: Download,
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "certificates"
    if kind != "missing":
        folder.mkdir()
        (folder / "ca.crt").write_text("" if kind == "empty" else "no certificate")
    value = str(folder if variable == "SSL_CERT_DIR" else folder / "ca.crt")
    monkeypatch.setenv(variable, value)
    what = "a folder" if variable == "SSL_CERT_DIR" else "a file"
    assert download(authority.server_context("127.0.0.1")) == (
        NOT_AS_PLANNED,
        f"error: {variable} is {value!r}; expected {what} of PEM certificates\n",
    )


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    trusted = len(client_context().get_ca_certs())
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, "")
    assert len(client_context().get_ca_certs()) == trusted > 0
