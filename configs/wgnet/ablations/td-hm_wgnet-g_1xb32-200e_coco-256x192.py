# Table 4, Model-B: global attention only (s4 has none)
_base_ = '../td-hm_wgnet_1xb32-200e_coco-256x192.py'

wnet = dict(window_attn=False)
model = dict(backbone=dict(wnet=wnet), neck=dict(wnet=wnet))
