"""`deploy`: show a plan of Terraform, then apply exactly that plan."""
