"""Terraform, the JSON that it reads, and its plans."""
