# Table 4, Model-A: window attention only (s4 keeps its full attention, which counts as window attention)
_base_ = '../td-hm_wgnet_1xb32-200e_coco-256x192.py'

wnet = dict(global_attn=False)
model = dict(backbone=dict(wnet=wnet), neck=dict(wnet=wnet))
