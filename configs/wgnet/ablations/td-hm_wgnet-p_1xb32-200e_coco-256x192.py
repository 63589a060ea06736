# Another design that fits the printed costs: no output projection, as in Eq. 1, and two attention pairs per WNet
_base_ = '../td-hm_wgnet_1xb32-200e_coco-256x192.py'

wnet = dict(repeats=2, out_proj=False, ffn_kernel=3)
model = dict(
    backbone=dict(
        widths=(96, 160, 192, 384),
        stem_width=32,
        stem_multiplier=1,
        downsample='dsconv',
        stage_irbs=(1, 1, 1, 1),
        stage_expand=3,
        stage_kernel=3,
        **wnet),
    neck=dict(in_channels=(96, 160, 192, 384), **wnet),
    head=dict(in_channels=96))
