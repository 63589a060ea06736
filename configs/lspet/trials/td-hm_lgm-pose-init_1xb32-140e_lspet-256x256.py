# LGM-Pose whose linear layers start as PyTorch draws them, for a normal distribution of 0.02. That is for layers with a
# skip around them; in LARM, which has none, it leaves 0.3 % of what goes in.
_base_ = '../td-hm_lgm-pose_1xb32-140e_lspet-256x256.py'

model = dict(
    backbone=dict(
        init_cfg=[
            dict(type='Kaiming', layer='Conv2d', mode='fan_out'),
            dict(type='Constant', layer=['_BatchNorm', 'LayerNorm'], val=1),
        ]))
