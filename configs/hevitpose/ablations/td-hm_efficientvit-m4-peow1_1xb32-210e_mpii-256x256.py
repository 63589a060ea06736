# SBL-EfficientViT-M4, row (a) of the ablations: EfficientViT's stem, patches overlap by 1 pixel.
_base_ = '../td-hm_hevitpose-b_1xb32-210e_mpii-256x256.py'

model = dict(backbone=dict(mixer='cga', peow=1))
