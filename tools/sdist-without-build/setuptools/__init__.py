"""Stands for setuptools while pip downloads a source package: nothing of the package runs."""
