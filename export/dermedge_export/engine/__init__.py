"""TensorRT engines: their cards, building, the record beside them."""
