"""What a service counts for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters of one service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        names = ["method", "route", "status"]
        self.requests = Counter("theatrum_requests", "Requests answered.", names, registry=self.registry)
        self.seconds = Histogram(
            "theatrum_request_seconds", "Time to answer.", ["route"], buckets=_SECONDS, registry=self.registry
        )
        self.batches = Histogram(
            "theatrum_batch_texts",
            "Texts that went through a pipeline together.",
            ["work"],
            buckets=_SIZES,
            registry=self.registry,
        )
        self.waiting = Gauge(
            "theatrum_waiting_texts", "Texts taken in and not yet answered.", ["pipeline"], registry=self.registry
        )
        self.ready = Gauge("theatrum_ready", "1 once everything is loaded.", registry=self.registry)
        self.documents = Gauge("theatrum_documents", "Documents served.", ["pipeline"], registry=self.registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self.requests.labels(method, route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Write everything in Prometheus's text format."""
        return generate_latest(self.registry)
