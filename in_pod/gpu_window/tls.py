"""Trust the system's certificate authorities, or those of SSL_CERT_FILE and SSL_CERT_DIR."""

from __future__ import annotations

import os
import ssl
from pathlib import Path


def client_context() -> ssl.SSLContext:
    """Return a TLS context for a client; an empty variable counts as unset.

    Raises:
        ValueError: when a variable names no certificates.
    """
    # OpenSSL reads both variables, but takes an empty one for a path, and a wrong one for none.
    context = ssl.create_default_context()
    # Python 3.13 refuses a CA without a key identifier, which curl and Go accept.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    system = ssl.get_default_verify_paths()
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if file and not _load(context, Path(file)):
        raise ValueError(f"SSL_CERT_FILE is {file!r}; expected a file of PEM certificates")
    if file == "":
        _load(context, Path(system.openssl_cafile))
    if folder:
        # OpenSSL finds only files that are named by a hash. Go reads all, and so does this.
        files = [path for name in folder.split(":") for path in sorted(Path(name).glob("*"))]
        if not any([_load(context, path) for path in files]):
            raise ValueError(f"SSL_CERT_DIR is {folder!r}; expected a folder of PEM certificates")
    if folder == "" and Path(system.openssl_capath).is_dir():
        context.load_verify_locations(capath=system.openssl_capath)
    return context


def _load(context: ssl.SSLContext, file: Path) -> bool:
    """Trust the certificates of a file; return whether there are any."""
    try:
        context.load_verify_locations(cafile=file)
    except (OSError, ValueError):
        return False
    return True
