"""`down`: stop what `up` started."""
