"""Processes that decode uploads for the service: a picture that hangs or kills its decoder costs one answer alone."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from dermedge_runtime.inputs.clinical import ClinicalSchema
from dermedge_runtime.model.description import ImageSpec

from .decoding_process import Decoded, Upload, receive_decoded, send_upload, work
from .problems import rejected

_log = logging.getLogger(__name__)


class _Decoder:
    """One process and the way to it."""

    def __init__(self, spec: ImageSpec, fields: ClinicalSchema) -> None:
        self._spec, self._fields = spec, fields
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None

    def start(self) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy the network's threads half
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs, self._spec, self._fields), daemon=True)
        self._process.start()
        theirs.close()

    def decode(self, upload: Upload, seconds: float) -> Decoded:
        """Decode in the process; blocks.

        :raises TimeoutError: it took too long; the process is replaced.
        :raises EOFError: the process died; it is replaced.
        """
        assert self._connection is not None
        try:
            send_upload(self._connection, upload)
            if not self._connection.poll(seconds):
                raise TimeoutError
            decoded = receive_decoded(self._connection, upload, self._spec)
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:  # TimeoutError is one of the first
            self.stop()
            self.start()
            if isinstance(error, TimeoutError):
                raise
            raise EOFError from error
        return decoded

    def stop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            with suppress(ValueError, AttributeError):
                self._process.kill()
                self._process.join(5)


class Decoders:
    """A few decoding processes."""

    def __init__(self, spec: ImageSpec, fields: ClinicalSchema, *, count: int, seconds: float = 10.0) -> None:
        """Start none yet.

        :param count: processes.
        :param seconds: that one upload may take.
        """
        self._decoders = [_Decoder(spec, fields) for _ in range(count)]
        self._seconds = seconds
        self._free: asyncio.Queue[_Decoder] = asyncio.Queue()
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="decoder")

    async def start(self) -> None:
        """Start all processes."""
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(self._threads, each.start) for each in self._decoders))
        for each in self._decoders:
            self._free.put_nowait(each)

    async def close(self) -> None:
        """End all processes."""
        for each in self._decoders:
            each.stop()
        self._threads.shutdown(wait=True)

    async def decode(self, upload: Upload) -> Decoded:
        """Decode an upload in the next free process.

        :raises Problem: it took too long, or its process died.
        """
        decoder = await self._free.get()
        work = asyncio.get_running_loop().run_in_executor(self._threads, decoder.decode, upload, self._seconds)
        work.add_done_callback(lambda _: self._free.put_nowait(decoder))
        try:
            return await asyncio.shield(work)
        except TimeoutError:
            _log.warning("a picture was not read within %g s: its decoding process was replaced.", self._seconds)
            raise rejected(f"The picture could not be read within {self._seconds:g} s.") from None
        except EOFError:
            _log.warning("a decoding process died over a picture, and was replaced.")
            raise rejected("Reading the picture ended the process that read it. Is the file what it seems?") from None
