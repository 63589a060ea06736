"""How a training goes: a plot beside its checkpoints, TensorBoard, and pictures of what it predicts."""

import importlib.util
import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure
from mmengine.dist import master_only
from mmengine.hooks import CheckpointHook, Hook
from mmengine.registry import HOOKS
from mmengine.runner import BaseLoop, EpochBasedTrainLoop
from mmengine.visualization import TensorboardVisBackend
from mmpose.engine.hooks import PoseVisualizationHook

from ..files import atomic_write


@HOOKS.register_module()
class CurvesHook(Hook):
    """Plot the loss and the metric that chooses the best checkpoint into ``curves.png`` of the work folder.

    The plot is drawn anew after every validation and at the end, from the history that is in the checkpoints: that of a
    resumed run shows the whole training.

    Args:
        tensorboard: Also log to TensorBoard, in ``tensorboard/`` of the work folder; resumed runs go on there.
    """

    priority = 'LOWEST'  # after the validation is recorded

    def __init__(self, tensorboard: bool = False) -> None:
        self.tensorboard = tensorboard
        if tensorboard and importlib.util.find_spec('tensorboard') is None:
            raise ImportError('tensorboard=True needs a package more: pip install "mmpose_lite[tensorboard]"')

    @master_only
    def before_run(self, runner) -> None:
        """Add TensorBoard to what MMEngine logs to."""
        if self.tensorboard and isinstance(runner._train_loop, BaseLoop):
            backend = TensorboardVisBackend(save_dir=str(Path(runner.work_dir, 'tensorboard')))
            runner.visualizer._vis_backends['TensorboardVisBackend'] = backend

    def after_run(self, runner) -> None:
        """Take it away again: MMEngine gives a later run in this process the same visualizer."""
        if self.tensorboard:
            runner.visualizer._vis_backends.pop('TensorboardVisBackend', None)

    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        """Draw the plot."""
        self._draw(runner)

    def after_train(self, runner) -> None:
        """Draw the plot."""
        self._draw(runner)

    @master_only
    def _draw(self, runner) -> None:
        history = runner.message_hub.log_scalars
        if not isinstance(runner._train_loop, EpochBasedTrainLoop) or 'train/loss' not in history:
            return
        figure = Figure(figsize=(8, 6), layout='constrained')
        above, below = figure.subplots(2, 1, sharex=True)
        loss = history['train/loss'].data[0]
        # the last value is that of the latest iteration, the first ones of a very long history are dropped
        epochs = (runner.iter - len(loss) + 1 + np.arange(len(loss))) / len(runner.train_dataloader)
        above.plot(epochs, loss, color='tab:blue', alpha=0.4, linewidth=0.7, label='each iteration')
        width = max(2, len(loss) // 50)
        if len(loss) >= width:
            mean = np.convolve(loss, np.full(width, 1 / width), mode='valid')
            above.plot(epochs[-len(mean) :], mean, color='tab:blue', label=f'mean of {width}')
        above.set(ylabel='training loss', yscale='log' if (loss > 0).all() else 'linear')
        above.legend(loc='upper right')
        for hook in runner.hooks:
            if isinstance(hook, CheckpointHook) and hook.save_best:
                for name, rule in zip(hook.key_indicators, hook.rules, strict=True):
                    self._draw_metric(below, runner, name, np.argmin if rule == 'less' else np.argmax)
        below.set(xlabel='epoch', ylabel='validation')
        for axes in (above, below):
            axes.grid(alpha=0.3)
        figure.suptitle(Path(runner.cfg.filename or runner.experiment_name).stem)
        file = io.BytesIO()
        figure.savefig(file, dpi=100)
        atomic_write(Path(runner.work_dir, 'curves.png'), file.getvalue())

    @staticmethod
    def _draw_metric(axes, runner, name: str, choose: Callable[[np.ndarray], int]) -> None:
        if f'val/{name}' not in runner.message_hub.log_scalars:
            return
        values = runner.message_hub.get_scalar(f'val/{name}').data[0]
        epochs = runner.message_hub.runtime_info.get('scored_epochs', [])[-len(values) :]
        if len(epochs) != len(values):  # without ResumableCheckpointHook nothing says when they were measured
            return
        best = int(choose(values))
        axes.plot(epochs, values, 'o-', markersize=3, color='tab:orange', label=name)
        axes.plot(
            epochs[best], values[best], 'o', color='tab:red', label=f'best: {values[best]:.4g} (epoch {epochs[best]})'
        )
        axes.legend(loc='lower right')


@HOOKS.register_module()
class SamplesHook(PoseVisualizationHook):
    """Draw the same people after every validation, in ``samples/epoch_<N>.jpg`` of the work folder.

    MMPose's hook draws one image in every ``interval`` iterations, on a small set none. Tests, and windows
    (``show=True``), are as there.

    Args:
        number: How many people, from the first batch of the validation.
        **kwargs: As for :class:`mmpose.engine.hooks.PoseVisualizationHook`; ``out_dir`` replaces ``samples``.
    """

    def __init__(self, number: int = 8, **kwargs) -> None:
        super().__init__(**kwargs)
        self.number = number

    def after_val_iter(self, runner, batch_idx: int, data_batch: dict, outputs: list) -> None:
        """Draw the first people of the first batch."""
        if self.show:
            super().after_val_iter(runner, batch_idx, data_batch, outputs)
        elif self.enable and batch_idx == 0:
            self._draw_sheet(runner, outputs[: self.number])

    @master_only
    def _draw_sheet(self, runner, samples: list) -> None:
        from ..inference.drawing import Drawer  # needs the networks, which are registered after this

        drawer = Drawer(runner.val_evaluator.dataset_meta, self.kpt_thr, bboxes=False)
        tiles = [_draw_person(drawer, sample) for sample in samples]
        tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 4)
        sheet = np.vstack([np.hstack(tiles[first : first + 4]) for first in range(0, len(tiles), 4)])
        folder = Path(runner.work_dir, self.out_dir or 'samples')
        folder.mkdir(parents=True, exist_ok=True)
        atomic_write(folder / f'epoch_{runner.epoch}.jpg', cv2.imencode('.jpg', sheet)[1].tobytes())
        runner.visualizer.add_image('samples', sheet[..., ::-1], step=runner.epoch)


def _draw_person(drawer, sample, height: int = 256) -> np.ndarray:
    """What the network saw of a person, with the keypoints that it found: an image (height, W, 3), BGR."""
    from ..inference.poses import Poses

    image = cv2.imread(sample.img_path)
    size, found = sample.input_scale, sample.pred_instances
    corner, zoom = sample.input_center - size / 2, height / size[1]
    width = round(zoom * size[0])
    crop = cv2.warpAffine(
        image, np.float64([[zoom, 0, -zoom * corner[0]], [0, zoom, -zoom * corner[1]]]), (width, height)
    )
    box = np.float32([[0, 0, width, height]])
    return drawer(crop, Poses(box, np.ones(1), (found.keypoints[:1] - corner) * zoom, found.keypoint_scores[:1]))
