"""`hub`: try the registry's models without the internet."""
