"""The shell script of the serving container."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

KEYS_VARIABLE = "LLAMA_API_KEY"
"""Variable with all API keys, joined by commas, that every llama-server requires: the router, and
each model's server behind either front end, whose port a picture's address could name."""
_PIPE = "/tmp/log"  # noqa: S108 - the container's own.
_REDACTED = "?[redacted]"
_IN_ADDRESS = "[:space:]\"'<>"
_FILTER = (
    # llama-server logs the address of each picture that it fetches, with its signature.
    rf"s|\(downloading image from '[^?]*\)?.*|\1{_REDACTED}'|",
    rf"s|\(https\{{0,1\}}://[^?{_IN_ADDRESS}]*\)?[^{_IN_ADDRESS}]*|\1{_REDACTED}|gI",
    rf"s|\(https\{{0,1\}}://\)[^/@{_IN_ADDRESS}]*@|\1[redacted]@|gI",
)
"""Commands of sed that remove query and login of each address from a line."""


def container_script(command: Sequence[str], *, key_env: tuple[str, ...]) -> str:
    """Write the script that runs a front end and filters its log.

    The shell stays the first process: it passes SIGTERM on, lets the filter write the last lines,
    and ends with the front end's exit code.

    Args:
        command: The front end's program and arguments.
        key_env: Variables of the container that hold the API keys (empty: no key).
    """
    # Elsewhere an engine that crashed in a loop wrote 148 GiB of core files in 50 minutes and
    # took its node down.
    lines = ["ulimit -c 0"]
    if key_env:
        # A missing or empty variable ends the shell: llama-server would silently drop that key,
        # and require none at all if it was the only one.
        keys = ",".join(f"${{{name}:?}}" for name in key_env)
        lines.append(f'export {KEYS_VARIABLE}="{keys}"')
    sed = shlex.join(("sed", "-u", *(word for edit in _FILTER for word in ("-e", edit))))
    lines += [
        f"rm -f {_PIPE} && mkfifo -m 600 {_PIPE} || exit 1",
        f"LC_ALL=C {sed} <{_PIPE} &",
        f"{shlex.join(command)} >{_PIPE} 2>&1 &",
        "front_end=$!",
        'trap "kill -TERM $front_end" TERM',
        # A signal ends `wait`, though the front end still drains.
        "until wait $front_end; code=$?; ! kill -0 $front_end 2>/dev/null; do :; done",
        # The filter would wait for a llama-server that outlived a killed front end.
        "sleep 1",
        "exit $code",
    ]
    return "\n".join(lines)
