"""What the programs in the cluster are told to download and to warm."""
