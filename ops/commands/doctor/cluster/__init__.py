"""`doctor --cluster`: whether the cluster and the database have what the settings need."""
