# SBL-EfficientViT-M4, row (b) of the ablations: patches overlap by 3 pixels.
_base_ = '../td-hm_hevitpose-b_1xb32-210e_mpii-256x256.py'

model = dict(backbone=dict(mixer='cga', peow=3))
