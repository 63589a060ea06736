# LGM-Pose's backbone and neck under SimCC's head (Li et al., ECCV 2022), which classifies coordinates.
_base_ = '../td-hm_lgm-pose_1xb32-140e_lspet-256x256.py'

simcc = dict(
    type='SimCCLabel',
    input_size=(_base_.size, _base_.size),
    sigma=(5.66 * _base_.size / 256,) * 2,
    simcc_split_ratio=2.0,
    normalize=False,
    use_dark=False)
codec = dict(_delete_=True, **simcc)
model = dict(
    head=dict(
        _delete_=True,
        type='SimCCHead',
        in_channels=64,
        out_channels=16,
        input_size=simcc['input_size'],
        in_featuremap_size=(_base_.size // 4, _base_.size // 4),
        simcc_split_ratio=simcc['simcc_split_ratio'],
        deconv_out_channels=None,
        loss=dict(type='KLDiscretLoss', use_target_weight=True, beta=10., label_softmax=True),
        decoder=simcc),
    test_cfg=dict(_delete_=True, flip_test=True))

train_pipeline = _base_.train_pipeline
train_pipeline[5] = dict(type='GenerateTarget', encoder=simcc)  # an update would merge
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
