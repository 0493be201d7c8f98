"""The comparison of every exported file with the trained weights, on held-back photographs."""
