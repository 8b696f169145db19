"""Unicode names in one form, so that they can be compared."""

from __future__ import annotations

import unicodedata


def composed(name: str) -> str:
    """Return a name in NFC: a Mac's disks and exports have NFD, where `ü` is two characters."""
    return unicodedata.normalize("NFC", name)
