# Table 4, Model-C: no attention
_base_ = '../td-hm_wgnet_1xb32-200e_coco-256x192.py'

wnet = dict(window_attn=False, global_attn=False)
model = dict(backbone=dict(wnet=wnet), neck=dict(wnet=wnet))
