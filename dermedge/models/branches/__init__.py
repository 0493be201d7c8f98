"""Image branches: what maps a picture to its last feature map; one file per family, one table (`families`)."""
