"""The systems of the literature as recipes: one TOML file each, how it is read, what of it is built here.

A recipe is data, not code: settings of a training, its reference, what was published, and how ours differs.
"""
