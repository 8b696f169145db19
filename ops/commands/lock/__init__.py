"""`lock`: models.lock.json follows the registry."""
