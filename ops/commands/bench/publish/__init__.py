"""A model's best photos into Immich, and out again."""
