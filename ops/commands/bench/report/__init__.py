"""The report of a photo benchmark: one HTML file, without a script and without a network."""

from ops.commands.bench.report.page import render

__all__ = ["render"]
