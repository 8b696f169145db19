"""Errors of the exporter."""

from __future__ import annotations


class ExporterError(Exception):
    """The exporter cannot start; the message is one line."""
