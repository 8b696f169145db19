"""`deploy`: the plan that is shown is the plan that is applied."""
