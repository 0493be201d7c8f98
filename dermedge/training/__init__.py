"""Training, its run folders, and what a trained run predicts."""
