"""Addresses of databases, as they may be shown."""

from __future__ import annotations

import re

_PASSWORD = re.compile(r"(?<=://)([^/@]*?):[^/]*@|(?<=[?&]password=)[^&]*")


def shown(url: str) -> str:
    """The address without its password."""
    return _PASSWORD.sub(lambda match: f"{match[1]}:***@" if match[1] is not None else "***", url)
