"""The plans that the programs in the cluster read."""
