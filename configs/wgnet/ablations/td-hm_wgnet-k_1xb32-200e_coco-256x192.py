# Another design that fits the printed costs: a plain depthwise convolution in the stem
_base_ = '../td-hm_wgnet_1xb32-200e_coco-256x192.py'

model = dict(backbone=dict(stem_multiplier=1))
