# Table 4, Model-B: global attention only (s4 has none)
_base_ = '../td-hm_wgnet_1xb32-200e_coco-256x192.py'

model = dict(backbone=dict(window_attn=False), neck=dict(window_attn=False))
