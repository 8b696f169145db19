"""`adopt`: take over an endpoint that runs already."""
