"""`python -m ops`: see `ops/cli.py`."""

from __future__ import annotations

import sys

from ops.cli import main


def _unraisable(what: sys.UnraisableHookArgs) -> None:
    """Leave out that jsii's Node has gone before us: Ctrl-C at a terminal reaches it too."""
    if not isinstance(what.exc_value, BrokenPipeError):
        sys.__unraisablehook__(what)


sys.unraisablehook = _unraisable
sys.exit(main())
