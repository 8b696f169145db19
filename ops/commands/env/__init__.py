"""`env`: the embedded cluster's environment variables for a shell."""
