"""The service for a clinic: a page and an HTTP interface over one open model, signed models, an audit log.

It lies above the runtime and the batches, imports no torch, and reads its options with the standard library's parser;
FastAPI and uvicorn are imported only where they are asked for.
"""

SUMMARIES = {
    "serve": "Serve one model to browsers and programs, on this machine or the ward's network.",
    "sign": "Sign a model file with a key, or note its hash in a lock file, beside it.",
    "verify": "Check a model file against the signature and the lock file beside it.",
    "audit": "Check the log of a service line by line, or print its head.",
    "feedback": "Say how right readers were before and after the model's answer, from a service's file.",
}
"""Commands of the service, one line each."""
