"""The lock: the exact files of each model of the registry."""
