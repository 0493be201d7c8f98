"""What makes an answer one to act on: calibrated probabilities, a score for unfamiliar pictures, thresholds."""
