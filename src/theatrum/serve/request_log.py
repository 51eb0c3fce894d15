"""One JSON line a request, without a word of what was asked or found."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

LOGGER = "theatrum.serve"


class JsonLines(logging.Formatter):
    """Writes a record as one JSON object: time, level, event, and what else was given.

    Parameters
    ----------
    texts : bool, default=False
        Whether messages of errors, which may quote users, are written too.
    """

    def __init__(self, *, texts: bool = False) -> None:
        super().__init__()
        self.texts = texts

    def format(self, record: logging.LogRecord) -> str:
        """Make the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            line["error"] = type(error).__name__
            places = traceback.extract_tb(error.__traceback__)
            line["at"] = [f"{one.filename}:{one.lineno} {one.name}" for one in places]
            if self.texts:
                line["message"] = str(error)
        return json.dumps(line, ensure_ascii=True, default=str)


def configure(*, texts: bool) -> None:
    """Send the log to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(texts=texts))
    for name in (LOGGER, "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO if name == LOGGER else logging.WARNING)


def log(event: str, *, level: int = logging.INFO, error: BaseException | None = None, **fields: Any) -> None:
    """Write one line."""
    logging.getLogger(LOGGER).log(level, event, extra={"fields": fields}, exc_info=error)
