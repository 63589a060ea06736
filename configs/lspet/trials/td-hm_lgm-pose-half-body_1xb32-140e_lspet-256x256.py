# LGM-Pose trained on crops of which 3 in 10 show the upper or the lower body only.
_base_ = '../td-hm_lgm-pose_1xb32-140e_lspet-256x256.py'

train_pipeline = _base_.train_pipeline
train_pipeline.insert(3, dict(type='RandomHalfBody', prob=0.3))  # before RandomBBoxTransform
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
