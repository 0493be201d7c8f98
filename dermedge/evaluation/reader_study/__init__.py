"""`dermedge feedback`: what readers gained by the model's answer. No torch: numpy, and pandas for the truth."""
