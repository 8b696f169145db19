"""Publish a model's best photos to Immich, and undo it."""
