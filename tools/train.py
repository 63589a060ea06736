"""Train with MMPose's own script; `mim train mmpose_lite CONFIG` looks for it here."""

import runpy
from pathlib import Path

import mmpose

if __name__ == '__main__':
    runpy.run_path(str(Path(mmpose.__file__).parent / '.mim' / 'tools' / 'train.py'), run_name='__main__')
