"""A small web application that logs with Python's own logging and ships its logs with the OpenTelemetry SDK.

Where to is OpenTelemetry's own setting, OTEL_EXPORTER_OTLP_ENDPOINT (default http://localhost:4318); a key goes into
OTEL_EXPORTER_OTLP_HEADERS (x-api-key=...). PORT is where the application listens.
"""

import json
import logging
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

log = logging.getLogger("billing")


def start_logging() -> LoggerProvider:
    provider = LoggerProvider(resource=Resource.create({"service.name": "billing", "service.version": "1.0.0"}))
    provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    log.addHandler(LoggingHandler(logger_provider=provider))
    return provider


class Billing(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/invoices/1":
            log.info("invoice 1 rendered", extra={"http.status_code": 200, "invoice": 1})
            self.answer(200, {"invoice": 1, "total": 129.9})
        elif self.path == "/invoices/0":
            try:
                _ = 1 / 0
            except ZeroDivisionError:
                log.exception("invoice 0 has no lines", extra={"http.status_code": 500})
            self.answer(500, {"error": "invoice 0 has no lines"})
        else:
            log.warning("no page %s", self.path, extra={"http.status_code": 404})
            self.answer(404, {"error": "no such page"})

    def answer(self, status, body):
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_):
        """The handlers log for themselves."""


def main():
    provider = start_logging()
    server = ThreadingHTTPServer((os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "3002"))), Billing)
    log.info("billing listens", extra={"port": server.server_port})
    signal.signal(signal.SIGINT, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()
    provider.shutdown()


if __name__ == "__main__":
    main()
