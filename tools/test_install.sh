#!/usr/bin/env bash
# Install the wheel in the two ways of the README, each into a fresh environment, and use what is then there.
#   tools/test_install.sh [PYTHON]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
python=${1:-$root/.venv/bin/python}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" # away from the sources
"$root/.venv/bin/python" -c 'import os, sys; os.chdir(sys.argv[1]); from hatchling.build import build_wheel; build_wheel(sys.argv[2])' \
    "$root" "$work"
wheel=$(echo "$work"/mmpose_lite-*.whl)
"$root/.venv/bin/mmpose-lite" export "$root/configs/lgm_pose/td-hm_lgm-pose_1xb32-6e_toy-128x128.py" -o "$work/pose.onnx"
export OMP_WAIT_POLICY=PASSIVE PYTHONWARNINGS=ignore

echo "== exported files, without torch: pip install 'mmpose_lite[onnx]'"
"$python" -m venv runtime
runtime/bin/pip install -q "$wheel[onnx]"
runtime/bin/pip check
runtime/bin/python - "$work/pose.onnx" <<'PYTHON'
import importlib.util, sys
import numpy as np
from mmpose_lite.runtime import PoseModel

assert importlib.util.find_spec('torch') is None
found = PoseModel(sys.argv[1]).estimate(np.zeros((100, 100, 3), np.uint8), np.array([[10, 10, 90, 90]]))
print(type(found))
import mmpose_lite.inference
for part in ('models', 'torch_backend', 'zoo.metafiles'):
    try:
        importlib.import_module(f'mmpose_lite.{part}')
    except ImportError as error:
        assert 'mmpose_lite[mmpose]' in str(error), error
    else:
        raise SystemExit(f'mmpose_lite.{part} was imported without torch')
PYTHON
runtime/bin/python -m mmpose_lite info
runtime/bin/python -c 'import cv2, numpy; cv2.imwrite("photo.jpg", numpy.full((200, 200, 3), 127, "uint8"))'
runtime/bin/mmpose-lite pose photo.jpg --out-dir bare
test -f bare/photo.json

echo "== the plugin: pip install --no-build-isolation 'mmpose_lite[mmpose]' mmcv-lite==2.1.0"
"$python" -m venv plugin
plugin/bin/pip install -q 'setuptools<82' wheel cython numpy
plugin/bin/pip install -q --no-build-isolation "$wheel[mmpose]" mmcv-lite==2.1.0
plugin/bin/pip check
plugin/bin/mmpose-lite info
plugin/bin/python -c 'import cv2, numpy; cv2.imwrite("photo.jpg", numpy.full((200, 200, 3), 127, "uint8"))'
plugin/bin/python "$(plugin/bin/python -c 'import mmpose_lite; print(mmpose_lite.__path__[0])')/.mim/demo/topdown_demo.py" \
    photo.jpg --out-dir out
test -f out/photo.json

echo "== over an MMPose that is there: pip install mmpose_lite"
plugin/bin/pip uninstall -q -y mmpose_lite
plugin/bin/pip freeze > before.txt
plugin/bin/pip install -q "$wheel"
plugin/bin/pip freeze --exclude mmpose_lite | diff before.txt -
echo "both ways work"
