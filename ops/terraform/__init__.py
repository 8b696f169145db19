"""Terraform and what it reads: synthesized JSON, plans, state."""
