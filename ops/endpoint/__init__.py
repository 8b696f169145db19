"""The client of a running endpoint."""
