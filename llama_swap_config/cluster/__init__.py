"""Types of a cluster's settings, which constructs and commands read without CDKTF."""
