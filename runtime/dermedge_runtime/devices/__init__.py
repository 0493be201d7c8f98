"""Where a model runs: execution providers, what they need, whether their answers are right, and open sessions."""
