"""The typed model registry, its lock and budget, and the texts that are rendered from it."""
