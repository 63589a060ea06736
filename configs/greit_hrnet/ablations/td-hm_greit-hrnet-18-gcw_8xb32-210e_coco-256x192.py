# Table 6: Lite-HRNet-18 with GCW.
_base_ = '../td-hm_greit-hrnet-18_8xb32-210e_coco-256x192.py'

model = dict(backbone=dict(gsw=False, lks=False))
