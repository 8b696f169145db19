"""A cluster on this machine: PostgreSQL, a real control plane, and a node played by kwok."""
