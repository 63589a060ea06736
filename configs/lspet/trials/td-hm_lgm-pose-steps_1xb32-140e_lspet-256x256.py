# LGM-Pose with its paper's schedule in place of the cosine: a tenth after 200 of 260 epochs, and again after 240.
_base_ = '../td-hm_lgm-pose_1xb32-140e_lspet-256x256.py'

param_scheduler = [
    dict(type='LinearLR', begin=0, end=200, start_factor=0.001, by_epoch=False),
    dict(type='MultiStepLR', milestones=[round(_base_.epochs * epoch / 260) for epoch in (200, 240)], by_epoch=True),
]
