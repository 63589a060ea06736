# Table 4, Model-A: window attention only (s4 keeps its full attention, which counts as window attention)
_base_ = '../td-hm_wgnet_1xb32-200e_coco-256x192.py'

model = dict(backbone=dict(global_attn=False), neck=dict(global_attn=False))
