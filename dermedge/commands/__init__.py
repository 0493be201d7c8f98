"""What stands behind the commands of `dermedge`, and their options; imported by the command line alone."""
