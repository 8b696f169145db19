"""`lock`: resolve the registry's models to exact files."""
