"""This machine: processes, ports, signals, directories and cached builds."""
