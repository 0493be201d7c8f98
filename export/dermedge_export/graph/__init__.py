"""The FP32 graph: trained network to ONNX, its explanations, its layers by name."""
