"""The pose network: crops in, keypoints in pixels of the crops out."""

import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from mmpose.apis import init_model
from mmpose.codecs import MSRAHeatmap
from mmpose.models.heads import HeatmapHead
from mmpose.models.utils.tta import flip_heatmaps
from mmpose.structures import PoseDataSample
from torch import Tensor, nn

from ..fold import Inference
from ..zoo.shipped import or_shipped
from .cropper import Cropper
from .loading import load_weights, prepare_for_inference, read_config


def decode_heatmaps(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Peaks of heatmaps, a quarter pixel towards the higher neighbour: MMPose's MSRAHeatmap for a whole batch.

    Args:
        heatmaps: (B, K, H, W).

    Returns:
        (B, K, 2) x, y in pixels of the heatmaps, (-1, -1) where nothing is above zero, and (B, K) heights.
    """
    height, width = heatmaps.shape[2:]
    flat = heatmaps.flatten(2)
    scores, index = flat.max(dim=2)
    x, y = index % width, index // width
    found = scores > 0

    def slope(step: int, inside: Tensor) -> Tensor:
        ahead, behind = (
            flat.gather(2, (index + s).clamp(0, flat.shape[2] - 1)[..., None])[..., 0] for s in (step, -step)
        )
        return torch.where(inside & found, (ahead - behind).sign(), 0.0)

    # the bounds are MMPose's own, lopsided as they are
    dx = slope(1, (x > 1) & (x < width - 1) & (y > 0))
    dy = slope(width, (y > 1) & (y < height - 1) & (x > 0))
    peaks = torch.where(found[..., None], torch.stack((x, y), dim=2).to(heatmaps.dtype), -1.0)
    return peaks + 0.25 * torch.stack((dx, dy), dim=2), scores


class TracedCache:
    """A network that traces the input shapes which keep coming: no Python between its operators, constants folded.

    A batch of LGM-Pose takes a tenth less time on a CPU, of Greit-HRNet a third. Tracing takes 1 to 10 seconds, which
    a handful of pictures would not pay back.

    Args:
        network: In eval mode, (B, 3, H, W) to a tensor.
    """

    calls_before = 8

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.calls: Counter[tuple[int, ...]] = Counter()
        self.traced: dict[tuple[int, ...], Callable[[Tensor], Tensor]] = {}

    def __call__(self, images: Tensor) -> Tensor:
        """Run the network."""
        shape = tuple(images.shape)
        self.calls[shape] += 1
        if self.calls[shape] >= self.calls_before and shape not in self.traced:
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')  # sizes become constants, as they are for this shape
                self.traced[shape] = torch.jit.freeze(torch.jit.trace(self.network, images, check_trace=False))
        return self.traced.get(shape, self.network)(images)


class PoseNetwork:
    """A top-down pose estimator of MMPose or of this package, in eval mode.

    Args:
        config: Its config file. Without one, and without weights, it is the pose network that ships.
        checkpoint: Its weights, ``.pth`` or ``.safetensors``.
        device: Where it runs, ``'cpu'`` or ``'cuda:0'``.
        flip_test: Average with the mirrored picture; ``None`` leaves it to the config's ``test_cfg``.

    Raises:
        FileNotFoundError: If a file is missing.
        CheckpointError: If the weights are damaged or not of this network.
        ValueError: If the config is of another kind of network, or only one of config and checkpoint is given.

    Attributes:
        cropper: Cuts people out of pictures as the config's test pipeline does.
        batch_size: Crops at once, mirrored ones counted, that take the least time each: on a CPU more get slower again.
    """

    def __init__(
        self,
        config: str | Path | None = None,
        checkpoint: str | Path | None = None,
        device: str = 'cpu',
        flip_test: bool | None = None,
    ) -> None:
        config, checkpoint = or_shipped('pose', config, checkpoint)
        self.name = Path(config).stem
        cfg = read_config(config)
        if cfg.get('model', {}).get('type', '').rpartition('.')[2] != 'TopdownPoseEstimator':
            raise ValueError(f'{config} does not configure a TopdownPoseEstimator: name a td-*.py config')
        self.model = init_model(cfg, device='cpu')
        meta = load_weights(self.model, checkpoint)
        self.layout = prepare_for_inference(self.model, device)
        self.device = torch.device(device)
        self.cropper = Cropper(cfg.test_dataloader.dataset.pipeline, config)
        on_cpu = self.device.type == 'cpu'
        self.batch_size = 2 if on_cpu else 32
        self.forward = TracedCache(Inference(self.model)) if on_cpu else Inference(self.model)
        self.flip_test = self.model.test_cfg.get('flip_test', False) if flip_test is None else flip_test
        self.dataset_meta = meta.get('dataset_meta') or self.model.dataset_meta
        self.kept = self.model.test_cfg.get('output_keypoint_indices')
        self.num_keypoints = len(self.kept or self.dataset_meta['flip_indices'])
        decoder = self.model.head.decoder
        self.decodes_batches = (
            isinstance(self.model.head, HeatmapHead) and type(decoder) is MSRAHeatmap and not decoder.unbiased
        )

    @torch.inference_mode()
    def __call__(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Estimate one pose per crop.

        Args:
            crops: (N, height, width, 3) BGR uint8, in the size of the config's codec.

        Returns:
            (N, K, 2) x, y in pixels of the crops, and (N, K) scores.
        """
        batch = torch.from_numpy(crops).to(self.device).permute(0, 3, 1, 2)
        inputs = self.model.data_preprocessor(dict(inputs=batch, data_samples=[]))['inputs']
        keypoints, scores = (self._heatmaps if self.decodes_batches else self._any_head)(
            inputs.contiguous(memory_format=self.layout)
        )
        return (keypoints[:, self.kept], scores[:, self.kept]) if self.kept else (keypoints, scores)

    def _heatmaps(self, inputs: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """One pass, mirrored pictures included, and one decoding for the whole batch."""
        model, test_cfg = self.model, self.model.test_cfg
        if self.flip_test:
            both = self.forward(torch.cat((inputs, inputs.flip(-1))))
            heatmaps, mirrored = both.chunk(2)
            mirrored = flip_heatmaps(
                mirrored,
                flip_indices=self.dataset_meta['flip_indices'],
                flip_mode=test_cfg.get('flip_mode', 'heatmap'),
                shift_heatmap=test_cfg.get('shift_heatmap', False),
            )
            heatmaps = (heatmaps + mirrored) * 0.5
        else:
            heatmaps = self.forward(inputs)
        peaks, scores = decode_heatmaps(heatmaps.float())
        return peaks.cpu().numpy() * model.head.decoder.scale_factor, scores.cpu().numpy()

    def _any_head(self, inputs: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """The head's own prediction (SimCC, DARK, UDP, ...), which decodes person by person."""
        model = self.model
        feats = model.extract_feat(inputs)
        if self.flip_test:
            feats = [feats, model.extract_feat(inputs.flip(-1))]
        meta = dict(flip_indices=self.dataset_meta['flip_indices'], input_size=tuple(inputs.shape[:1:-1]))
        samples = [PoseDataSample(metainfo=meta)] * len(inputs)
        test_cfg = dict(model.test_cfg, flip_test=self.flip_test, output_heatmaps=False)
        found = model.head.predict(feats, samples, test_cfg=test_cfg)
        columns = ([person[name] for person in found] for name in ('keypoints', 'keypoint_scores'))
        keypoints, scores = (np.concatenate(column).astype(np.float32) for column in columns)
        return keypoints[..., :2], scores
