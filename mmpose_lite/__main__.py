"""``python -m mmpose_lite``: the command ``mmpose-lite``."""

import sys

from .cli import main

sys.exit(main())
