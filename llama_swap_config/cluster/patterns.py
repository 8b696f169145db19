"""Patterns of names and addresses in the settings."""

from __future__ import annotations

import re

_PORT = r"(6553[0-5]|655[0-2]\d|65[0-4]\d\d|6[0-4]\d{3}|[1-5]\d{4}|[1-9]\d{0,3})"
ADDRESS = re.compile(rf"https?://[A-Za-z0-9.-]+(:{_PORT})?(/[\w./-]*)?", re.ASCII)
"""An http or https address without login, query and fragment."""
_NAME = r"[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?"
LABEL_VALUE = re.compile(f"({_NAME})?", re.ASCII)
"""Value of a label or a taint."""
QUALIFIED_NAME = re.compile(rf"([a-z0-9]([a-z0-9.-]{{0,251}}[a-z0-9])?/)?{_NAME}", re.ASCII)
"""Key of a label or a taint, or name of a resource: `nvidia.com/gpu`."""
DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""Name of a namespace or a Service."""
DNS_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
)
"""Name of most other objects."""
IMAGE = re.compile(r"[a-z0-9.:-]+(/[\w.-]+)+(:[\w.-]+)?@sha256:[0-9a-f]{64}", re.ASCII)
"""An image by its digest."""
