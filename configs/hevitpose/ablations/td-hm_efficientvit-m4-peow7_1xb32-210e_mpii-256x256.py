# SBL-EfficientViT-M4: patches overlap by 7 pixels.
_base_ = '../td-hm_hevitpose-b_1xb32-210e_mpii-256x256.py'

model = dict(backbone=dict(mixer='cga', peow=7))
