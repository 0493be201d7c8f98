"""One fusion a file (paper, section 3.5); the table of all is `dermedge.models.fusion`."""
