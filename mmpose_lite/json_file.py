"""JSON files as others write them: UTF-8, UTF-16 or UTF-32, with a byte order mark or without, in any locale."""

import json
from pathlib import Path
from typing import Any


def read_json(path: str | Path) -> Any:
    """Parse a file.

    Raises:
        OSError: If it cannot be read.
        ValueError: Names the file that is not JSON.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path} is not valid JSON ({type(error).__name__}: {error})') from error
