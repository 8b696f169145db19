"""The stack and its settings."""
