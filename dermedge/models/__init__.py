"""The networks of the paper: image branch, clinical branch, fusions, classifier."""
