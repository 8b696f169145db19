"""`serve`: the registry on this machine."""
