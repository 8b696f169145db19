"""Patterns of names, schedules and addresses in the settings."""

from __future__ import annotations

import re

ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?(/[\w./-]*)?", re.ASCII)
"""An http or https address without login, query and fragment."""
SCHEDULE = re.compile(r"[\d*/,-]+( [\d*/,-]+){2}( [\dA-Za-z*/,-]+){2}", re.ASCII)
"""A cron schedule of five fields."""
DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""Name of a namespace or a Service."""
DNS_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
)
"""Name of most other objects."""
