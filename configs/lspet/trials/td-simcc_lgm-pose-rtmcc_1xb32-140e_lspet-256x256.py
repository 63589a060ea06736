# LGM-Pose's backbone and neck under RTMPose's head (RTMCCHead), SimCC with attention between the joints.
_base_ = './td-simcc_lgm-pose-simcc_1xb32-140e_lspet-256x256.py'

model = dict(
    head=dict(
        _delete_=True,
        type='RTMCCHead',
        in_channels=64,
        out_channels=16,
        input_size=_base_.simcc.input_size,
        in_featuremap_size=(_base_.size // 4, _base_.size // 4),
        simcc_split_ratio=_base_.simcc.simcc_split_ratio,
        final_layer_kernel_size=7,
        gau_cfg=dict(
            hidden_dims=256,
            s=128,
            expansion_factor=2,
            dropout_rate=0.,
            drop_path=0.,
            act_fn='SiLU',
            use_rel_bias=False,
            pos_enc=False),
        loss=dict(type='KLDiscretLoss', use_target_weight=True, beta=10., label_softmax=True),
        decoder=_base_.simcc))
