"""The CDKTF app: `python main.py` writes cdktf.out, `cdktf deploy llama-cpp` applies it."""

import sys
from typing import Any

from llama_swap_config.errors import ConfigError


def main() -> int:
    """Synthesize the stack; a bad registry, lock or setting prints one line and returns 1."""
    try:
        # Imported here: a bad setting fails when it is imported.
        from constructs.terraform import App
        from llama_swap_config.declaration import load
        from llama_swap_config.lock.stand_in import stand_in_problems
        from stacks.llama_cpp import LlamaCppStack

        app = App()
        declaration = load()
        LlamaCppStack(app, "llama-cpp", settings=production(), declaration=declaration)
        app.synth()
        for problem in stand_in_problems(declaration.locked):
            print(f"warning: {problem}", file=sys.stderr)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def production() -> Any:
    """Read the settings; ConfigError also where Python refuses them."""
    try:
        from stacks.production import PRODUCTION
    except (TypeError, AttributeError, ImportError, NameError) as error:
        raise ConfigError(f"stacks/production.py: {error}") from error
    return PRODUCTION


if __name__ == "__main__":
    sys.exit(main())
