"""`dermedge compare`: train, measure and report every fusion under every protocol, with several seeds."""
