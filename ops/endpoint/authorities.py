"""The certificate authorities that our HTTP clients accept."""

from __future__ import annotations

import os
import ssl

import httpx2

from ops.errors import OpsError, one_line, reason_of

_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""As OpenSSL reads them: either one takes the place of the system's authorities."""


def accepted_authorities() -> ssl.SSLContext:
    """Return the TLS settings of a client: the system's authorities, or those of SSL_CERT_FILE.

    Raises:
        OpsError: when the variable names no file of certificates.
    """
    try:
        return httpx2.create_ssl_context()
    except OSError as error:
        # An ssl.SSLError is an OSError.
        name = next(filter(os.environ.get, _VARIABLES), _VARIABLES[0])
        raise OpsError(
            f"{name} is {one_line(os.environ.get(name, ''))!r}; expected a file of PEM "
            f"certificates ({error.strerror or reason_of(error)})"
        ) from error


def hint_of(reason: str) -> str:
    """Return what to do about a failed connection, if its server's certificate is the reason."""
    if "CERTIFICATE_VERIFY_FAILED" not in reason:
        return ""
    return ". For a private authority, set SSL_CERT_FILE to a file of its certificate"
