"""The model file: read, scanned, described and checked before any of it reaches ONNX Runtime."""
