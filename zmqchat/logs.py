"""One log format for every process: UTC time, level, logger, text, on one line, to stderr."""

from __future__ import annotations

import logging
import sys
import time
from typing import TextIO

_LINE = "%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s: %(message)s"
_TIME = "%Y-%m-%dT%H:%M:%S"


def log_to(stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Send what this process logs from ``level`` on to a stream, stderr by default."""
    formatter = logging.Formatter(_LINE, _TIME)
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler], force=True)
