"""`env`: the embedded cluster's environment for a shell."""
