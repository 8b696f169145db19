"""`serve`: the registry's models on this machine."""
