"""Asking a running endpoint."""
