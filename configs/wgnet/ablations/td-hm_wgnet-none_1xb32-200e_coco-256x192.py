# Table 4, Model-C: no attention
_base_ = '../td-hm_wgnet_1xb32-200e_coco-256x192.py'

model = dict(
    backbone=dict(window_attn=False, global_attn=False), neck=dict(window_attn=False, global_attn=False))
