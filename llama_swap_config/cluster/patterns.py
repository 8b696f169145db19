"""How names and addresses are spelled that more than one setting holds."""

from __future__ import annotations

import re

ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?(/[\w./-]*)?", re.ASCII)
"""Without a login, a query or a fragment."""
SCHEDULE = re.compile(r"[\d*/,-]+( [\d*/,-]+){2}( [\dA-Za-z*/,-]+){2}", re.ASCII)
"""Five fields of cron."""
DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""The name of a namespace or a Service."""
DNS_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
)
"""The name of most other objects."""
