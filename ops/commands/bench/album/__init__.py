"""The photos: found in a folder or in Immich, drawn, and prepared once for all models."""
