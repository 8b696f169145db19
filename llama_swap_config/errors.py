"""The errors of the configuration: bad data fails at synth, never in the cluster."""

from __future__ import annotations


class ConfigError(Exception):
    """The registry, the lock or the settings are wrong; the message is one line."""

    @classmethod
    def of(
        cls, subject: str, field: str, value: object, *, expected: str, remedy: str
    ) -> ConfigError:
        """Make the error `<subject>: <field> is <value>; expected <what>. <what to do>.`.

        Args:
            subject: The model or file, such as `model 'qwen3vl-8b'`.
            field: The field.
            value: Its value, shown with at most 80 characters.
            expected: What the field accepts.
            remedy: What to do, a sentence without its period, or a question.
        """
        shown = " ".join(repr(value).split("\n"))
        if len(shown) > 80:
            shown = f"{shown[:77]}..."
        end = "" if remedy.endswith("?") else "."
        return cls(f"{subject}: {field} is {shown}; expected {expected}. {remedy}{end}")


def require_setting(condition: object, name: str, value: object, expected: str) -> None:
    """Check a value of stacks/production.py.

    Raises:
        ConfigError: when the condition is false.
    """
    if not condition:
        raise ConfigError.of(
            "settings", name, value, expected=expected, remedy="Correct it in stacks/production.py"
        )
