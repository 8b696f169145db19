"""The CDKTF app: `python main.py` writes cdktf.out, `cdktf deploy llama-cpp` applies it."""

import sys

from llama_swap_config.errors import ConfigError


def main() -> int:
    """Synthesize the stack; a bad registry, lock or setting prints one line and returns 1."""
    try:
        from llama_swap_config.declaration import load
        from llama_swap_config.lock.stand_in import stand_in_problems
        from stacks.declared import load_settings

        declaration, settings = load(), load_settings()
        # Imported here: they start Node, and a mistake above is found before that.
        from constructs.terraform import App
        from stacks.llama_cpp import LlamaCppStack

        app = App()
        LlamaCppStack(app, "llama-cpp", settings=settings, declaration=declaration)
        app.synth()
        for problem in stand_in_problems(declaration.locked):
            print(f"warning: {problem}", file=sys.stderr)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
