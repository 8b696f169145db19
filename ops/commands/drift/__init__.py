"""Is what runs still what is declared? Five sources side by side."""
