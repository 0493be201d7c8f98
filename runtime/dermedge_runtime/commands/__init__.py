"""The commands of the edge: infer, inspect, doctor."""
