"""Turn a training run into one self-describing ONNX file per precision."""
