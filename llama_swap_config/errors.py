"""The one error tree of the configuration: bad data ends at synth, never in the cluster."""

from __future__ import annotations


class ConfigError(Exception):
    """What is wrong with the registry, the lock or the settings, in one line."""

    @classmethod
    def of(
        cls, subject: str, field: str, value: object, *, allowed: str, remedy: str
    ) -> ConfigError:
        """Name the model or file, its field, the value got, what is allowed and what to do."""
        shown = repr(value)
        if len(shown) > 80:
            shown = f"{shown[:77]}..."
        return cls(f"{subject}: {field} is {shown}; allowed: {allowed}; {remedy}")


def require_setting(condition: object, name: str, value: object, allowed: str) -> None:
    """Refuse a value of stacks/production.py that is not what it allows.

    Raises:
        ConfigError: when the condition does not hold.
    """
    if not condition:
        raise ConfigError.of(
            "settings", name, value, allowed=allowed, remedy="correct it in stacks/production.py"
        )
