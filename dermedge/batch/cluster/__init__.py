"""A batch on many machines: Ray Data brings files to workers, and their rows back to one writer of Parquet parts."""
