"""``mmpose-lite pose`` as a script: the same options."""

import sys

from mmpose_lite.cli import main

if __name__ == '__main__':
    sys.exit(main(['pose', *sys.argv[1:]]))
