"""Arrays that are made once and kept: decoded pictures, features, pictures on the GPU."""
