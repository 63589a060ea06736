"""JSON files as others write them: UTF-8, UTF-16 or UTF-32, with a byte order mark or without, in any locale."""

import json
from pathlib import Path
from typing import Any

from .files import check_content


def read_json(path: str | Path) -> Any:
    """Parse a file.

    Raises:
        OSError: If it cannot be read.
        ValueError: Names the file that is not JSON.
    """
    content = Path(path).read_bytes()
    check_content(path, content)
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        lines = isinstance(error, json.JSONDecodeError) and error.msg == 'Extra data' and error.lineno > 1
        hint = ': it looks like JSON Lines, write them as one list [..., ...]' if lines else ''
        raise ValueError(f'{path} is not valid JSON ({type(error).__name__}: {error}){hint}') from error
