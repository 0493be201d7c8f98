"""The INT8 graph: calibration, weights that no sum overflows, layers that stay in float32."""
