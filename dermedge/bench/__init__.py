"""`dermedge bench`: latency, throughput, cold start and memory of model files on this machine."""

SUMMARY = "Compare model files, and torch where it is installed: latency, cold start, memory, size."
"""The command's one line in the list of commands."""
