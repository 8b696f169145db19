"""The old name of `ci.sticky_comment`, which workflows of an older base branch call."""

from __future__ import annotations

import sys

from ci.sticky_comment import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
