"""Ask a running endpoint, and say whether it does what the registry and the documents say."""
