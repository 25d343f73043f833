"""What each Python server counts, as prometheus_client's documentation shows it: requests by path and status, and their duration. With several processes the client keeps them in files that all of them
share (PROMETHEUS_MULTIPROC_DIR), as it must for the sums to be right."""

import os
from time import perf_counter

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest, multiprocess

REQUESTS = Counter("http_requests", "Requests.", ["method", "path", "status"])
SECONDS = Histogram("http_request_duration_seconds", "Duration of requests.", ["path"])


def done(method, path, status, started):
    REQUESTS.labels(method, path, str(status)).inc()
    SECONDS.labels(path).observe(perf_counter() - started)


def exposition():
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return generate_latest(registry)


class ASGI:
    """The middleware of FastAPI: a plain ASGI one, which costs less than Starlette's BaseHTTPMiddleware."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started, status = perf_counter(), 500

        async def sent(message):
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, sent)
        finally:
            done(scope["method"], scope["path"], status, started)
