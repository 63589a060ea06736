# Another design that fits the printed costs: stages of three parts (halving, inverted residual, WNet), kernels of 3
_base_ = '../td-hm_wgnet_1xb32-200e_coco-256x192.py'

model = dict(
    backbone=dict(
        stem_multiplier=1, downsample='dsconv', stage_irbs=(1, 1, 1, 0), stage_kernel=3, ffn_kernel=3),
    neck=dict(se_ratio=4, ffn_kernel=3))
