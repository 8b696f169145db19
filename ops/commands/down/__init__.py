"""`down`: end what `up` started."""
