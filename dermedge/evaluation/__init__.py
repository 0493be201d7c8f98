"""What is measured of trained runs and model files, and told. A file a command: `evaluate`, `explain`, `card`, and the
room `comparison` for `dermedge compare`.

The probabilities that all of them score are made one floor below, in `dermedge.training.predictions`, because the gate
of an export needs them too; the figures themselves are computed in `dermedge.statistics`.
"""
