"""From arrays of a data set to the batches of an epoch: drawn, augmented, mixed."""
