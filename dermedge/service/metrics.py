"""What the service counts, as Prometheus reads it; no name, no value of a patient, nothing of a picture."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_SCORES = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0, 8.0)


class Metrics:
    """The counters of one service."""

    def __init__(self, waiting: Callable[[], float], at_work: Callable[[], float]) -> None:
        """Begin at zero.

        :param waiting: tells how many pictures wait.
        :param at_work: tells how many requests are at work.
        """
        self.registry = CollectorRegistry()
        own = self.registry
        self.requests = Counter("dermedge_requests", "Requests by path and status.", ["path", "status"], registry=own)
        self.seconds = Histogram(
            "dermedge_request_seconds", "Seconds of a request.", ["path"], buckets=_SECONDS, registry=own
        )
        self.rejections = Counter(
            "dermedge_rejections", "Requests that were refused, by reason.", ["reason"], registry=own
        )
        self.decisions = Counter("dermedge_decisions", "Answers by decision.", ["decision"], registry=own)
        self.classes = Counter("dermedge_predictions", "Answers by predicted class.", ["label"], registry=own)
        self.ood = Histogram("dermedge_ood_score", "How unlike the training's pictures.", buckets=_SCORES, registry=own)
        self.unlogged = Counter(
            "dermedge_answers_missing_from_audit_log",
            "Answers that were given while the audit log had no room for their lines.",
            registry=own,
        )
        Gauge("dermedge_waiting_pictures", "Pictures in the queue.", registry=own).set_function(waiting)
        Gauge("dermedge_requests_at_work", "Requests that are not answered yet.", registry=own).set_function(at_work)

    def text(self) -> bytes:
        """Give everything as Prometheus reads it."""
        return generate_latest(self.registry)


class Counted:
    """Stands before the application and counts its answers."""

    def __init__(self, app: Any, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, and count what comes back."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 500

        async def noted(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            path = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(path, str(status)).inc()
            self._metrics.seconds.labels(path).observe(time.perf_counter() - begun)
