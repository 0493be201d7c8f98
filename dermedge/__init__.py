"""dermedge: train a skin-lesion classifier on image and clinical data, export it, run it at the edge."""

__version__ = "0.1.0"
