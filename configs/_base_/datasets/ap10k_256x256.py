# AP-10K, animals of 54 species with 17 keypoints, 256x256 crops, 64x64 heatmaps. Point the environment variable
# AP10K_ROOT at your AP-10K folder:
#   $AP10K_ROOT/data/*.jpg
#   $AP10K_ROOT/annotations/ap10k-{train,val,test}-split1.json
_base_ = './coco_256x256.py'

data_root = '{{$AP10K_ROOT:data/ap10k}}'
ap10k = dict(type='AP10KDataset', data_root=data_root, data_prefix=dict(img='data/'))

train_dataloader = dict(dataset=dict(ann_file='annotations/ap10k-train-split1.json', **ap10k))
val_dataloader = dict(dataset=dict(ann_file='annotations/ap10k-val-split1.json', bbox_file=None, **ap10k))
test_dataloader = dict(dataset=dict(ann_file='annotations/ap10k-test-split1.json', bbox_file=None, **ap10k))

val_evaluator = dict(ann_file=f'{data_root}/annotations/ap10k-val-split1.json')
test_evaluator = dict(ann_file=f'{data_root}/annotations/ap10k-test-split1.json')
