"""The workshop from Python: train, evaluate, export. The commands of the same names call these functions.

Importing them is cheap; the packages that do the work are imported when a function is called.
"""
