"""``python -m mmpose_lite.cli``."""

import sys

from . import main

sys.exit(main())
