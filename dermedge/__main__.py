"""`python -m dermedge` is `dermedge`."""

from .cli import main

main()
