"""What constructs are told of a cluster, and commands read without starting CDKTF."""
