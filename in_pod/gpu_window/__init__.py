"""Give the GPU back to the Deployments that a window took it from."""
