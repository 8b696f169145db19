"""The lock: the exact files behind each model of the registry."""
