"""Plots, TensorBoard and pictures of a training."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmengine.structures import InstanceData
from mmpose.registry import DATASETS
from tensorboard.backend.event_processing import event_accumulator
from test_checkpoint import tiny_config

from mmpose_lite.engine import CurvesHook, curves
from mmpose_lite.inference.drawing import Drawer


@pytest.fixture(scope='module')
def logged(toy_root, tmp_path_factory):
    """Work folder of a run of one epoch that was resumed for another two, and what the last plot showed."""
    work_dir = tmp_path_factory.mktemp('work')
    shown = {}

    def spy(figure, *args, **kwargs):
        lines = [line for axes in figure.axes for line in axes.lines]
        shown.update({line.get_label(): line.get_xydata() for line in lines})
        return savefig(figure, *args, **kwargs)

    savefig = curves.Figure.savefig
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curves.Figure, 'savefig', spy)
        patch.setattr(Config, 'pretty_text', 'not of interest')  # would take half of the time
        for epochs in (1, 3):
            config = tiny_config(toy_root, work_dir, resume=True)
            config.train_cfg.max_epochs = epochs
            config.default_hooks.curves.tensorboard = True
            config.default_hooks.visualization.enable = True
            runner = Runner.from_cfg(config)
            runner.train()
    return work_dir, shown, runner.message_hub.log_scalars


def test_plot_shows_the_whole_history(logged):
    work_dir, shown, history = logged
    assert cv2.imread(str(work_dir / 'curves.png')).shape == (600, 800, 3)
    loss = shown['each iteration']
    assert loss[:, 0].tolist() == [0.5, 1, 1.5, 2, 2.5, 3]
    assert loss[:, 1].tolist() == history['train/loss'].data[0].tolist()
    assert np.allclose(shown['mean of 2'], np.stack([loss[1:, 0], (loss[1:, 1] + loss[:-1, 1]) / 2], axis=1))
    assert shown['PCK'].tolist() == [[i + 1, value] for i, value in enumerate(history['val/PCK'].data[0])]
    assert len(shown['PCK']) == 3


def test_tensorboard_has_both_parts(logged):
    steps = {}
    for file in Path(logged[0], 'tensorboard').iterdir():
        events = event_accumulator.EventAccumulator(str(file)).Reload()
        for tag in ('loss', 'PCK'):
            steps.setdefault(tag, set()).update(event.step for event in events.Scalars(tag))
        assert events.Tags()['images'] == ['samples']
    assert steps == dict(loss={2, 4, 6}, PCK={1, 2, 3})


def test_pictures_of_every_validation(logged):
    names = sorted(path.name for path in Path(logged[0], 'samples').iterdir())
    assert names == ['epoch_1.jpg', 'epoch_2.jpg', 'epoch_3.jpg']
    assert cv2.imread(str(logged[0] / 'samples' / 'epoch_3.jpg')).shape == (256, 4 * 256, 3)  # the batch has 4 people


def test_keypoints_are_drawn_where_they_are(toy_root, tmp_path):
    dataset = DATASETS.build(tiny_config(toy_root, tmp_path).val_dataloader.dataset)
    sample = dataset[0]['data_samples']
    truth = sample.gt_instances.keypoints
    sample.pred_instances = InstanceData(keypoints=truth, keypoint_scores=np.zeros(truth.shape[:2]))
    drawer = Drawer(dataset.metainfo, bboxes=False)
    bare = curves._draw_person(drawer, sample)
    sample.pred_instances.keypoint_scores += 1
    drawn = curves._draw_person(drawer, sample)
    assert drawn.shape == (256, 256, 3)
    changed = np.abs(drawn.astype(int) - bare).max(-1) > 30
    assert 0 < changed.mean() < 0.1
    # where a keypoint is in the crop: that of 256 pixels here, twice as large as the network's
    x, y = ((truth[0] - sample.input_center + sample.input_scale / 2) * 256 / sample.input_scale).round().astype(int).T
    inside = (x >= 0) & (x < 256) & (y >= 0) & (y < 256)
    assert inside.sum() > 10
    assert changed[y[inside], x[inside]].mean() > 0.9


def test_missing_tensorboard_names_the_extra(monkeypatch):
    monkeypatch.setattr(curves.importlib.util, 'find_spec', lambda name: None)
    CurvesHook()
    with pytest.raises(ImportError, match=r'pip install "mmpose_lite\[tensorboard\]"'):
        CurvesHook(tensorboard=True)


def record(**scalars) -> MessageHub:
    hub = MessageHub.get_instance('curves')
    hub.log_scalars.clear()
    for name, values in scalars.items():
        for value in values:
            hub.update_scalar(name.replace('_', '/'), value)
    hub.update_info('scored_epochs', list(range(1, 4)))
    return hub


def test_best_is_the_lowest_where_less_is_better():
    axes = Figure().subplots()
    runner = SimpleNamespace(message_hub=record(val_NME=[0.3, 0.1, 0.2]))
    CurvesHook._draw_metric(axes, runner, 'NME', np.argmin)
    assert axes.lines[-1].get_xydata().tolist() == [[2, 0.1]]
    CurvesHook._draw_metric(axes, runner, 'NME', np.argmax)
    assert axes.lines[-1].get_xydata().tolist() == [[1, 0.3]]


def test_run_of_one_iteration(tmp_path):
    runner = SimpleNamespace(
        message_hub=record(train_loss=[0.5]),
        _train_loop=EpochBasedTrainLoop.__new__(EpochBasedTrainLoop),
        iter=1,
        train_dataloader=[None],
        hooks=[],
        cfg=Config(),
        experiment_name='one',
        work_dir=tmp_path,
    )
    CurvesHook().after_train(runner)
    assert cv2.imread(str(tmp_path / 'curves.png')) is not None
