"""This machine: processes, ports, signals, directories, and programs built once."""
