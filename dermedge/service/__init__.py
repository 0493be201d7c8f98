"""The service for a clinic: a page and an HTTP interface over one open model, on this machine or the ward's network.

It lies above the runtime and the batch, and imports no torch; FastAPI and uvicorn only where they are asked for.
"""

SUMMARY = "Serve one model to browsers and programs, on this machine or the ward's network."
"""Of `dermedge serve`, in the list of commands."""
