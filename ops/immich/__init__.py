"""The part of Immich's API that the photo benchmark uses."""
