# LGM-Pose decoded with DARK (Zhang et al., CVPR 2020) in place of a quarter of a pixel: for a test of weights of
# ../td-hm_lgm-pose_*.py. The blur fits sigma by MMPose's rule, sigma = 0.3 * ((kernel - 1) / 2 - 1) + 0.8.
_base_ = '../td-hm_lgm-pose_1xb32-140e_lspet-256x256.py'

kernel = {1: 5, 2: 11}[_base_.codec.sigma]
model = dict(head=dict(decoder=dict(unbiased=True, blur_kernel_size=kernel)))
train_pipeline = _base_.train_pipeline
train_pipeline[5].update(encoder=dict(_base_.codec, unbiased=True, blur_kernel_size=kernel))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
