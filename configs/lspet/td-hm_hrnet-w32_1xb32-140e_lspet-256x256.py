# MPII_ROOT=/path/to/lspet mim train mmpose configs/lspet/td-hm_hrnet-w32_1xb32-140e_lspet-256x256.py
_base_ = './_base_/lspet.py'

train_cfg = dict(max_epochs=_base_.epochs, val_interval=10)
model = dict(
    backbone=dict(
        type='HRNet',
        in_channels=3,
        extra=dict(
            stage1=dict(num_modules=1, num_branches=1, block='BOTTLENECK', num_blocks=(4,), num_channels=(64,)),
            stage2=dict(num_modules=1, num_branches=2, block='BASIC', num_blocks=(4, 4), num_channels=(32, 64)),
            stage3=dict(
                num_modules=4, num_branches=3, block='BASIC', num_blocks=(4, 4, 4), num_channels=(32, 64, 128)),
            stage4=dict(
                num_modules=3,
                num_branches=4,
                block='BASIC',
                num_blocks=(4, 4, 4, 4),
                num_channels=(32, 64, 128, 256)))),
    head=dict(in_channels=32, out_channels=16, deconv_out_channels=None, decoder=_base_.codec))
