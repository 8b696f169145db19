"""`weights`: the models' files on a volume."""
