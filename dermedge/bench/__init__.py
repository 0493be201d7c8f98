"""`dermedge bench`: latency, throughput, cold start and memory of model files on this machine."""
