"""What programs in the cluster share: the API server, and what its objects say."""
