"""One fusion a file (paper, section 3.5, and others); the table of all is `dermedge.models.fusion`."""
