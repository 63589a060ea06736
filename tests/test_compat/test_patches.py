"""The patches: applied where upstream is broken, nothing where it is healthy."""

import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from mmengine.runner.checkpoint import CheckpointLoader

from mmpose_lite._compat import patches


def run_python(code: str, *, path: str = '') -> subprocess.CompletedProcess:
    """Run code in a fresh interpreter, with a folder in front of its module path."""
    setup = f'import sys; sys.path.insert(0, {path!r})\n' if path else ''
    return subprocess.run([sys.executable, '-c', setup + textwrap.dedent(code)], capture_output=True, text=True)


def test_import_is_silent_and_makes_mmpose_importable():
    done = run_python('import mmpose_lite, mmpose.models, torchvision')
    assert (done.returncode, done.stdout) == (0, ''), done.stderr
    assert done.stderr == ''


def test_apply_is_idempotent():
    before = dict(CheckpointLoader._schemes), [patch.applied for patch in patches.PATCHES]
    patches.apply()
    assert (dict(CheckpointLoader._schemes), [patch.applied for patch in patches.PATCHES]) == before


BROKEN_TORCHVISION = """
import torch
if not hasattr(torch.ops.torchvision, 'nms') or not hasattr(torch.ops.torchvision, 'qnms'):
    raise RuntimeError('operator torchvision::nms does not exist')
"""


def fake_torchvision(folder, source: str) -> str:
    package = folder / 'torchvision'
    package.mkdir()
    (package / '__init__.py').write_text(source)
    (package / 'transforms.py').write_text('ToPILImage = object\n')  # all that MMPose imports from it
    return str(folder)


@pytest.mark.parametrize(
    ('source', 'applied'), [(BROKEN_TORCHVISION, True), ('healthy = True\n', False)], ids=['broken', 'healthy']
)
def test_torchvision_operators_only_where_they_are_missing(tmp_path, source, applied):
    code = """
        import json
        import mmpose_lite._compat.patches as compat
        import torch, torchvision
        defined = hasattr(torch.ops.torchvision, 'nms')
        print(json.dumps([compat.PATCHES[0].applied, defined, len(compat._libraries)]))
    """
    done = run_python(code, path=fake_torchvision(tmp_path, source))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [applied, applied, int(applied)]


def test_another_fault_of_torchvision_is_not_hidden(tmp_path):
    done = run_python('import mmpose_lite', path=fake_torchvision(tmp_path, "raise RuntimeError('out of order')"))
    assert done.returncode != 0
    assert 'out of order' in done.stderr


def test_masks_of_xtcocotools_work_with_this_numpy():
    code = """
        import mmpose_lite
        import numpy as np
        from xtcocotools import mask
        print(mask.area(mask.encode(np.asfortranarray(np.ones((4, 3), np.uint8)))))
    """
    done = run_python(code)
    assert done.stdout.strip() == '12', done.stderr


def test_circles_with_radii_in_arrays_are_drawn():
    """As MMPose's own visualizers pass them: numpy 2.4 makes no integer of an array of one element."""
    from mmpose.visualization.opencv_backend_visualizer import OpencvBackendVisualizer

    visualizer = OpencvBackendVisualizer(backend='opencv')
    visualizer.set_image(np.zeros((20, 20, 3), np.uint8))
    visualizer.draw_circles(np.array([10, 10]), np.array([4]), face_colors=(255, 255, 255))
    drawn = visualizer.get_image()
    assert drawn[10, 10].all()
    assert not drawn[1, 1].any()


def test_checkpoint_loaders_are_replaced():
    code = """
        import mmpose_lite
        from mmengine.runner import checkpoint
        loaders = set(checkpoint.CheckpointLoader._schemes.values())
        left = sorted(f.__name__ for f in loaders if f.__module__ == checkpoint.__name__)
        print(left, checkpoint.load_url.__module__)
    """
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    # these three turn names into addresses and load those with load_url
    assert (
        done.stdout.strip() == "['load_from_http', 'load_from_mmcls', 'load_from_torchvision'] mmpose_lite._compat.hub"
    )


# ------------------------------------------------------------------------------------------------ annotation files


@pytest.mark.parametrize('dataset', ['CocoDataset', 'MpiiDataset'])
@pytest.mark.parametrize(
    ('content', 'error', 'message'),
    [
        (None, FileNotFoundError, r'ann\.json.*COCO_ROOT or MPII_ROOT'),
        ('{"images": [', ValueError, r'ann\.json is not .*not valid JSON'),
        ('[{"picture": 1}]', ValueError, r'ann\.json is not .*Check dataset'),
        ('{"info": 1}', ValueError, r'ann\.json is not .*Check dataset'),
    ],
    ids=['missing', 'truncated', 'other list', 'other dict'],
)
def test_wrong_annotation_file_is_named(tmp_path, dataset, content, error, message):
    from mmpose.registry import DATASETS

    if content is not None:
        (tmp_path / 'ann.json').write_text(content)
    with pytest.raises(error, match=message):
        DATASETS.build(dict(type=dataset, data_root=str(tmp_path), ann_file='ann.json', data_prefix=dict(img='')))


def test_annotations_in_any_encoding(toy_root, tmp_path):
    """With a byte order mark, in a plain locale, with names that are not ASCII."""
    file = toy_root / 'annotations' / 'person_keypoints_val.json'
    content = json.loads(file.read_text())
    content['info'] = dict(description='Größe')
    (tmp_path / 'ann.json').write_bytes(b'\xef\xbb\xbf' + json.dumps(content, ensure_ascii=False).encode())
    code = f"""
        import mmpose_lite
        from mmpose.registry import DATASETS
        import mmpose.datasets
        config = dict(type='CocoDataset', data_prefix=dict(img=''), ann_file={str(tmp_path / 'ann.json')!r})
        print('people:', len(DATASETS.build(config)))
    """
    import os

    os.environ.update(LC_ALL='C', PYTHONUTF8='0', PYTHONCOERCECLOCALE='0')
    try:
        done = run_python(code)
    finally:
        for name in ('LC_ALL', 'PYTHONUTF8', 'PYTHONCOERCECLOCALE'):
            del os.environ[name]
    assert f'people: {len(content["annotations"])}' in done.stdout, done.stderr


def test_annotation_patch_changes_nothing_else(toy_root):
    from mmpose.registry import DATASETS

    assert patches.name_broken_annotation_files() is False
    common = dict(data_root=str(toy_root), data_prefix=dict(img='images/'))
    assert len(DATASETS.build(dict(type='CocoDataset', ann_file='annotations/person_keypoints_val.json', **common))) > 0
    assert len(DATASETS.build(dict(type='MpiiDataset', ann_file='annotations/mpii_val.json', **common))) > 0
