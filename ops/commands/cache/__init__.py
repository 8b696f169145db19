"""`cache`: the programs that were built on this machine."""
