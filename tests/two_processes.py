"""One of two processes of ``torchrun``: gradients and weights of each network, for tests/test_distributed.py."""

import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from mmengine.dataset import pseudo_collate
from mmengine.dist import init_dist
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, MODELS
from test_learning import CODEC, NETWORKS
from torch import distributed, nn
from torch.distributed.nn.functional import all_reduce

import mmpose_lite  # noqa: F401

STEPS = 2
Results = dict[str, torch.Tensor]


def build(network: str) -> nn.Module:
    """A cut-down network in double precision, so that a difference is a mistake and no rounding."""
    parts = NETWORKS[network]
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='TopdownPoseEstimator',
            data_preprocessor=dict(type='PoseDataPreprocessor', mean=[128.0] * 3, std=[64.0] * 3, bgr_to_rgb=True),
            backbone=parts['backbone'],
            neck=parts.get('neck'),
            head=dict(
                type='HeatmapHead',
                in_channels=parts['width'],
                out_channels=16,
                deconv_out_channels=parts.get('deconvs'),
                deconv_kernel_sizes=(4, 4) if 'deconvs' in parts else None,
                loss=dict(type='KeypointMSELoss', use_target_weight=True, loss_weight=100.0),
                decoder=CODEC,
            ),
        )
    )
    for parameter in model.parameters():  # nothing starts at zero, where a gradient would be zero as well
        nn.init.normal_(parameter, 1.0 if parameter.dim() == 1 else 0.0, 0.05)
    return model.double().train()


def samples(root: Path) -> list[dict]:
    """Four generated people, encoded."""
    steps = [
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale'),
        dict(type='TopdownAffine', input_size=CODEC['input_size']),
        dict(type='GenerateTarget', encoder=CODEC),
        dict(type='PackPoseInputs'),
    ]
    paths = dict(data_root=str(root), ann_file='annotations/mpii_train.json', data_prefix=dict(img='images/'))
    dataset = DATASETS.build(dict(type='MpiiDataset', pipeline=steps, **paths))
    return [dataset[index] for index in range(4)]


def train(model: nn.Module, batches: list[list[dict]]) -> Iterator[Results]:
    """Descend on the mean loss of the batches; yields the gradients of each step and the weights after it."""
    module = getattr(model, 'module', model)
    for _ in range(STEPS):
        model.zero_grad()
        for batch in batches:
            data = module.data_preprocessor(pseudo_collate(batch), training=True)
            losses = model(data['inputs'].double(), data['data_samples'], mode='loss')
            (losses['loss_kpt'] / len(batches)).backward()
        gradients = {name: parameter.grad.clone() for name, parameter in module.named_parameters()}
        with torch.no_grad():
            for parameter in module.parameters():
                parameter -= 0.01 * parameter.grad
        weights = {f'{name} after': parameter.detach().clone() for name, parameter in module.named_parameters()}
        yield gradients | weights


def synchronized_batch_norm(self: nn.BatchNorm2d, x: torch.Tensor) -> torch.Tensor:
    """What SyncBatchNorm computes, which torch has for GPUs only."""
    mean, square = (all_reduce(moment) / 2 for moment in (x.mean(dim=(0, 2, 3)), x.square().mean(dim=(0, 2, 3))))
    mean, square = mean[:, None, None], square[:, None, None]
    x = (x - mean) * (square - mean.square() + self.eps).rsqrt()
    return x * self.weight[:, None, None] + self.bias[:, None, None]


def main(root: Path, out: Path) -> None:
    init_default_scope('mmpose')
    init_dist('pytorch', backend='nccl')  # gloo, where there is no GPU
    rank = distributed.get_rank()
    mine = samples(root)[2 * rank : 2 * rank + 2]
    results = {}
    for kind in ('plain', 'synchronized'):
        if kind == 'synchronized':
            nn.BatchNorm2d.forward = synchronized_batch_norm
        for network in NETWORKS:
            model = build(network)
            # as MMEngine's Runner wraps it; stops with an error where a parameter is unused
            wrapped = MMDistributedDataParallel(
                module=model, device_ids=[rank], broadcast_buffers=False, find_unused_parameters=False
            )
            results[network, kind] = list(train(wrapped, [mine]))
    torch.save(results, out / f'{rank}.pth')
    distributed.destroy_process_group()


if __name__ == '__main__':
    main(*map(Path, sys.argv[1:]))
