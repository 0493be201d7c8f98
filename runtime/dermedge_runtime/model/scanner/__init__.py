"""Look through an ONNX file without the onnx package: its bytes, its tensors, its graph, the memory it can take."""
