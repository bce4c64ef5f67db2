"""How does an event become a line?"""

import json
import logging
import sys
import time

from typing_extensions import override

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, event, and the event's own keys (given as `extra`)."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line.update((key, value) for key, value in vars(record).items() if key not in _STANDARD)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class PlainFormatter(logging.Formatter):
    """A line for people: level, event, and the event's own keys."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        keys = [f"{key}={value}" for key, value in vars(record).items() if key not in _STANDARD]
        line = "  ".join([f"{record.levelname.lower()}: {record.getMessage()}", *keys])
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure(level: str) -> None:
    """Send every logger's events to standard error as JSON."""
    _send(level, JsonFormatter())


def configure_for_people(level: str | None) -> None:
    """The same where a person looks on: plain lines and only what went wrong, if standard error is a terminal."""
    if sys.stderr.isatty():
        _send(level or "WARNING", PlainFormatter())
    else:
        _send(level or "INFO", JsonFormatter())


def _send(level: str, formatter: logging.Formatter) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler], force=True)
