# LGM-Pose trained on pictures of which half have other people beside them (CropMosaic).
_base_ = '../td-hm_lgm-pose_1xb32-140e_lspet-256x256.py'

train_pipeline = _base_.train_pipeline
train_pipeline.insert(1, dict(type='CropMosaic', prob=0.5))  # behind LoadIntactImage
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
