"""Rows of results on the disk: appended as they come, whole after any end, found again by the next call."""
