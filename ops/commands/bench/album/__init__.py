"""The photos: read from a folder or Immich, drawn, and prepared once for all models."""
