"""The two programs that can stand in front of the models."""
