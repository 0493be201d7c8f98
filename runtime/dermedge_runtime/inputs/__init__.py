"""What the runtime is given: pictures and clinical values, checked and turned into the model's input arrays."""
