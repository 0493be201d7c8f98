"""Figures made of labels and predictions, and their plots: numpy, without a network."""
