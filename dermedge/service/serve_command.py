"""The options of `dermedge serve`, and the start of the server."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
import ssl
from argparse import Namespace
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermedge.require import extras
from dermedge_runtime.commands import infer_command as one_patient
from dermedge_runtime.commands.command_parser import CommandParser
from dermedge_runtime.commands.option_types import model, one_of, path, whole_number
from dermedge_runtime.commands.shown_names import shown
from dermedge_runtime.devices.providers import DEVICES
from dermedge_runtime.devices.usable_cpus import usable_cpus
from dermedge_runtime.errors import DermedgeError, ModelFileError, UsageError

from . import SUMMARIES
from .audit.audit_log import WHEN_FULL, AuditLog
from .feedback.feedback_log import FeedbackLog
from .signing.verify_model import verify_model

if TYPE_CHECKING:
    from dermedge_runtime.classifier import Classifier

_log = logging.getLogger(__name__)
_SHORTEST_TOKEN = 16
_LONGEST_END_S = 30
"""Seconds that requests at work may take when the service ends."""


def parser() -> CommandParser:
    """Define the options."""
    defined = CommandParser("serve", SUMMARIES["serve"])
    defined.option("--host", metavar="ADDRESS", default="127.0.0.1", help="Address to listen on.")
    defined.option("--port", whole_number(1), metavar="NUMBER", default="8000", help="Port to listen on.")
    defined.option("--token-file", path, metavar="PATH", help="File with the token that every request must bear.")
    defined.option("--tls-cert", path, metavar="PATH", help="Certificate, PEM.")
    defined.option("--tls-key", path, metavar="PATH", help="Its key, PEM.")
    defined.option(
        "--public-name", metavar="NAME", many=True, help="Host name by which the service is asked; may be given again."
    )
    defined.option("--model", model, metavar="PATH", help="Model file, or the name of a model in the box.")
    defined.option("--models", path, metavar="PATH", default="models", help="Folder of exported models.")
    devices = ", ".join(DEVICES)
    defined.option("--device", one_of(DEVICES), metavar="DEVICE", default="auto", help=f"Where it runs: {devices}.")
    defined.flag("--require-signature", help="Start only with a model that is signed, or whose lock file agrees.")
    defined.option("--key", path, metavar="PUB", help="Public key of --require-signature; without it the lock file.")
    defined.option("--audit", path, metavar="PATH", help="Append every answer to this audit log, without its picture.")
    defined.flag("--audit-always", help="Wait for the disk before every answer, not once a second.")
    defined.option(
        "--audit-full",
        one_of(WHEN_FULL),
        metavar="WHAT",
        default="stop",
        help="Where the disk is full: stop answering, or go-on, counting what is missing from the log.",
    )
    defined.option("--feedback", path, metavar="PATH", help="Readers' opinions before and after the answer go here.")
    defined.option("--workers", whole_number(1), metavar="NUMBER", help="Decoding processes; by default one a CPU.")
    return defined


def run(arguments: Sequence[str]) -> int:
    """Run `dermedge serve` until it is stopped.

    :return: the exit code.
    :raises UsageError: options that contradict each other.
    :raises DermedgeError: the port is in use, or certificate and key do not belong together.
    """
    options = parser().parse(arguments)
    if options is None:
        return 0
    token = _token(options)
    context = _tls(options)
    _check_address(options, token, context)
    with extras("serve"):
        import uvicorn

        from .app import Limits, Service, make_app
        from .guards import Guards
    with ExitStack() as held:
        listening = held.enter_context(_listening(options.host, options.port))
        classifier = _verified_model(options)
        if classifier.spec.image is None:
            raise UsageError(f"{classifier.name} reads no picture; a service has no use for it.")
        limits = Limits(decoders=options.workers or usable_cpus())
        audit = _audit_log(options, held)
        service = Service(classifier, limits, audit, _feedback_log(options, classifier, held))
        service.note_start()
        app = make_app(service)
        hosts = (options.host, *options.public_name)
        guarded: Any = Guards(app, hosts=hosts, any_address=_is_any(options.host), token=token)
        scheme = "https" if context is not None else "http"
        _log.info("%s on %s: %s://%s:%d", classifier.name, classifier.device, scheme, options.host, options.port)
        server = uvicorn.Server(_configuration(uvicorn, guarded, context))
        server.run(sockets=[listening])
        return 0 if server.started else DermedgeError.exit_code


def _configuration(uvicorn: Any, app: Any, context: ssl.SSLContext | None) -> Any:
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        ws="none",
        timeout_graceful_shutdown=_LONGEST_END_S,
    )
    if context is not None:
        config.load()
        config.ssl = context
    return config


def _verified_model(options: Namespace) -> Classifier:
    """Open the model, and see that it is the very file that was verified, where that is asked for.

    :raises ModelFileError: it does not verify.
    """
    from dermedge_runtime.model.exported_models import newest_or_boxed_model

    if not options.require_signature:
        if options.key is not None:
            raise UsageError("--key is the public key of --require-signature; give both.")
        return one_patient.opened_model(options)
    options.model = options.model or newest_or_boxed_model(options.models)
    verified = verify_model(options.model, options.key)
    classifier = one_patient.opened_model(options)
    if classifier.sha256 != verified.sha256:
        raise ModelFileError(f"{shown(str(options.model))} changed while it was verified. Start the service again.")
    return classifier


def _audit_log(options: Namespace, held: ExitStack) -> AuditLog | None:
    if None not in (options.audit, options.feedback) and options.audit.resolve() == options.feedback.resolve():
        raise UsageError(f"--audit and --feedback both name {shown(str(options.audit))}. Give each its own file.")
    if options.audit is None:
        if options.audit_always:
            raise UsageError("--audit-always is about the audit log; name it with --audit.")
        if options.audit_full != "stop":
            raise UsageError("--audit-full is about the audit log; name it with --audit.")
        return None
    log = AuditLog(options.audit, sync="always" if options.audit_always else "interval", when_full=options.audit_full)
    held.callback(log.close)
    return log


def _feedback_log(options: Namespace, classifier: Classifier, held: ExitStack) -> FeedbackLog | None:
    if options.feedback is None:
        return None
    log = FeedbackLog(options.feedback, model=classifier.name, sha256=classifier.sha256, spec=classifier.spec)
    held.callback(log.close)
    return log


def _token(options: Namespace) -> str:
    if options.token_file is None:
        return ""
    try:
        token = str(options.token_file.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not plain ASCII"
        raise DermedgeError(f"Cannot read the token in {shown(str(options.token_file))}: {reason}.") from error
    if len(token) < _SHORTEST_TOKEN or not token.isprintable() or " " in token:
        raise DermedgeError(
            f"The token in {shown(str(options.token_file))} must be one word of at least {_SHORTEST_TOKEN} characters;"
            " make one: python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    return token


def _tls(options: Namespace) -> ssl.SSLContext | None:
    if (options.tls_cert is None) != (options.tls_key is None):
        raise UsageError("--tls-cert and --tls-key go together; give both.")
    if options.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    cert, key = shown(str(options.tls_cert)), shown(str(options.tls_key))
    for each in (options.tls_cert, options.tls_key):
        _readable(each)
    try:
        context.load_cert_chain(options.tls_cert, options.tls_key, password=lambda: "")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise DermedgeError(f"The certificate {cert} and the key {key} do not belong together.") from error
        reason = f" ({error.reason})" if error.reason else ""
        raise DermedgeError(f"{cert} and {key} are no certificate and key in PEM{reason}.") from error
    return context


def _readable(file: Path) -> None:
    try:
        with file.open("rb"):
            pass
    except OSError as error:
        raise DermedgeError(f"Cannot read {shown(str(file))}: {error.strerror or error}.") from error


def _check_address(options: Namespace, token: str, context: ssl.SSLContext | None) -> None:
    if _is_local(options.host):
        return
    if not token:
        raise UsageError(
            f"Other machines can reach {shown(options.host)}: give a token with --token-file, or stay on 127.0.0.1."
        )
    if context is None:
        _log.warning(
            "WITHOUT TLS, PICTURES AND TOKEN CROSS THE NETWORK IN THE CLEAR. Give --tls-cert and --tls-key, or put a"
            " server with TLS before this one."
        )


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _listening(host: str, port: int) -> socket.socket:
    """Open the port before anything else, so that one in use is told at once.

    :raises DermedgeError: it is in use, or the address is none of this machine.
    """
    if port > 65535:
        raise UsageError(f"--port goes up to 65535, got {port}.")
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048
        )
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)  # its own text says the address again
        raise DermedgeError(
            f"Cannot listen on {shown(host)}, port {port}: {reason}. Choose another with --port."
        ) from error
