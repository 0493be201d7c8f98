"""The FP16 graph, and which layers float16 cannot hold."""
