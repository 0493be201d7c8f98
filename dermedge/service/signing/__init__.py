"""Who made a model file, and whether it is still the same: a signature or a lock file beside it."""
