"""The audit log of a service: what it answered and when, as a chain of lines in which no change goes unseen."""
