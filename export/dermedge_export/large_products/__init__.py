"""What the 17 million products of the tensor and bilinear fusions need; nothing else uses it."""
