"""Immich's API, as far as the benchmark needs it."""
