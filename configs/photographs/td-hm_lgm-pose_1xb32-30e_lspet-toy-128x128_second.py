# 30 more epochs for the pose network that ships, from the end of the first 30 and with its paper's steps for the cosine:
# trained alike for 8 epochs they gave 3 points more, and what such small networks lack on photographs is fit.
_base_ = 'td-hm_lgm-pose_1xb32-30e_lspet-toy-128x128.py'

load_from = 'work_dirs/pose/first.safetensors'
param_scheduler = [
    dict(type='LinearLR', begin=0, end=100, start_factor=0.01, by_epoch=False),
    dict(type='MultiStepLR', milestones=[round(_base_.epochs * epoch / 260) for epoch in (200, 240)], by_epoch=True),
]
