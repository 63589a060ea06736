"""What an exported file must say about itself, read off a config and the network it builds."""

from pathlib import Path

from mmengine.config import Config
from mmpose.codecs import MSRAHeatmap, SimCCLabel, UDPHeatmap
from torch import nn

from ..runtime.contract import Contract
from ..torch_backend.cropper import Cropper


def _decoder(codec: object, config: str | Path) -> tuple[str, dict]:
    """How the runtime reads the outputs, and the codec's arguments."""
    if type(codec) is SimCCLabel and not codec.use_dark:
        return 'simcc', dict(simcc_split_ratio=codec.simcc_split_ratio, sigma=codec.sigma.tolist())
    arguments = dict(
        heatmap_size=[int(side) for side in getattr(codec, 'heatmap_size', ())], sigma=getattr(codec, 'sigma', 0)
    )
    if type(codec) is MSRAHeatmap and not codec.unbiased:
        return 'msra', arguments
    if type(codec) is MSRAHeatmap:
        return 'msra_dark', arguments | dict(blur_kernel_size=codec.blur_kernel_size)
    if type(codec) is UDPHeatmap and codec.heatmap_type == 'gaussian':
        return 'udp', arguments | dict(blur_kernel_size=codec.blur_kernel_size)
    raise ValueError(
        f'{config}: the codec {type(codec).__name__} of its head cannot be exported; MSRAHeatmap, UDPHeatmap of type '
        'gaussian and SimCCLabel without use_dark can'
    )


def make_contract(model: nn.Module, cfg: Config, config: str | Path, checkpoint_sha256: str | None) -> Contract:
    """The contract of a network that MMPose's ``init_model`` built.

    Args:
        model: TopdownPoseEstimator, which has ``dataset_meta``.
        cfg: Its config.
        config: The config's file.
        checkpoint_sha256: Of its weights, ``None`` if they are random.

    Raises:
        ValueError: If the network decodes, or the config crops, in a way that the runtime does not know.
    """
    codec = getattr(model.head, 'decoder', None)
    decoder, arguments = _decoder(codec, config)
    if model.test_cfg.get('flip_mode', 'heatmap') != 'heatmap':
        raise ValueError(f'{config}: flip_mode={model.test_cfg["flip_mode"]!r} cannot be exported, only heatmap')
    cropper = Cropper(cfg.test_dataloader.dataset.pipeline, config)
    before, meta = model.data_preprocessor, model.dataset_meta
    normalized = getattr(before, '_enable_normalize', False)
    names = [meta['keypoint_id2name'][i] for i in range(meta['num_keypoints'])]
    kept = model.test_cfg.get('output_keypoint_indices')
    return Contract(
        config=Path(config).stem,
        input_size=tuple(int(side) for side in codec.input_size),
        mean=tuple(before.mean.flatten().tolist()) if normalized else (0.0,) * 3,
        std=tuple(before.std.flatten().tolist()) if normalized else (1.0,) * 3,
        color_order='RGB' if before._channel_conversion else 'BGR',
        decoder=decoder,
        codec=arguments,
        outputs=('simcc_x', 'simcc_y') if decoder == 'simcc' else ('heatmaps',),
        keypoint_names=tuple(names),
        flip_indices=tuple(int(i) for i in meta['flip_indices']),
        skeleton=tuple(tuple(int(i) for i in pair) for pair in meta['skeleton_links']),
        sigmas=tuple(float(sigma) for sigma in meta['sigmas']),
        keypoint_colors=_colors(meta['keypoint_colors']),
        skeleton_colors=_colors(meta['skeleton_link_colors']),
        shift_heatmap=bool(model.test_cfg.get('shift_heatmap', False)),
        padding=float(cropper.padding),
        use_udp=bool(cropper.use_udp),
        output_keypoint_indices=tuple(kept) if kept else None,
        checkpoint_sha256=checkpoint_sha256,
    )


def _colors(rows) -> tuple[tuple[int, int, int], ...]:
    return tuple(tuple(int(value) for value in row) for row in rows)
