# LGM-Pose that is asked for empty heatmaps where labelled joints lie outside the crop (BlankOutside).
_base_ = '../td-hm_lgm-pose_1xb32-140e_lspet-256x256.py'

train_pipeline = _base_.train_pipeline
train_pipeline.insert(6, dict(type='BlankOutside'))  # behind GenerateTarget
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
