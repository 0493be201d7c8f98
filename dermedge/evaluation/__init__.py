"""What is measured of trained runs and model files, and told: figures, explanations, cards, comparisons."""
