"""The consumers' keys: in the gateway's Secret, or in a directory on this machine."""
