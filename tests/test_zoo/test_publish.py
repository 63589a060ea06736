"""`mmpose-lite publish`: smaller, harmless, and the same network."""

import json

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from mmpose.apis import inference_topdown, init_model
from mmpose.registry import VISUALIZERS
from safetensors import safe_open
from test_checkpoint import tiny_config

from mmpose_lite.checkpoint import CheckpointError, load_from_local, sha256
from mmpose_lite.cli import main
from mmpose_lite.zoo import publish as module
from mmpose_lite.zoo.complexity import count_parameters


@pytest.fixture(scope='module')
def trained(toy_root, tmp_path_factory):
    """A checkpoint of a training with averaged weights, its config, and the averaged weights."""
    work_dir = tmp_path_factory.mktemp('work')
    config = tiny_config(toy_root, work_dir, randomness=dict(seed=1))
    config.custom_hooks.append(dict(type='EMAHook', momentum=0.5))
    runner = Runner.from_cfg(config)
    runner.train()
    hook = next(hook for hook in runner.hooks if type(hook).__name__ == 'EMAHook')
    averaged = {name: value.clone() for name, value in hook.ema_model.module.state_dict().items()}
    assert not all(torch.equal(value, averaged[name]) for name, value in runner.model.state_dict().items())
    file = work_dir / 'config.py'
    config.custom_hooks.pop()
    config.dump(file)
    return work_dir / 'epoch_1.pth', file, averaged


@pytest.fixture(scope='module')
def published(trained, tmp_path_factory):
    return module.publish(trained[0], tmp_path_factory.mktemp('out'), trained[1])


def test_averaged_weights_and_nothing_else(trained, published):
    path, digest, _ = published
    content = load_from_local(str(path), 'cpu')
    assert content.keys() == {'state_dict', 'meta'}
    assert content['state_dict'].keys() == trained[2].keys()
    assert all(torch.equal(value, trained[2][name]) for name, value in content['state_dict'].items())
    assert path.name == f'config-{digest[:8]}.safetensors'
    assert digest == sha256(path)
    assert path.stat().st_size < trained[0].stat().st_size / 2


def test_metadata(trained, published):
    path, _, meta = published
    original = load_from_local(str(trained[0]))['meta']['dataset_meta']
    with safe_open(path, 'pt') as file:
        assert json.loads(file.metadata()['meta']) == json.loads(json.dumps(meta))
    read = load_from_local(str(path))['meta']
    model = init_model(str(trained[1]), device='cpu')
    assert read['parameters'] == count_parameters(model)
    assert read['source_sha256'] == sha256(trained[0])
    assert (read['config'], read['img_size'], read['epoch']) == ('config', [128, 128], 1)
    for key, value in original.items():
        assert np.array_equal(read['dataset_meta'][key], value) or set(value) == set(read['dataset_meta'][key]), key
    assert str(trained[0].parent) not in json.dumps(read)  # nothing of the machine it was trained on


def test_same_scores_and_pictures(trained, published, toy_root, tmp_path):
    scores, drawn = [], []
    image = str(next((toy_root / 'images').glob('*.jpg')))
    for weights in (trained[0], published[0]):
        config = tiny_config(toy_root, tmp_path, load_from=str(weights))
        config.test_evaluator = dict(type='PCKAccuracy', thr=0.5)
        scores.append(Runner.from_cfg(config).test())
        model = init_model(str(trained[1]), str(weights), device='cpu')
        visualizer = VISUALIZERS.build(dict(type='PoseLocalVisualizer', name=weights.name))
        visualizer.set_dataset_meta(model.dataset_meta)
        sample = inference_topdown(model, image)[0]
        drawn.append(visualizer.add_datasample('', np.zeros((200, 200, 3), np.uint8), sample, kpt_thr=0, draw_gt=False))
    assert scores[0] == scores[1]
    assert scores[0]['PCK'] > 0
    assert drawn[0].any()
    assert np.array_equal(*drawn)


def test_same_checkpoint_same_file(trained, published, tmp_path, capsys):
    out = tmp_path / 'mine.safetensors'
    assert main(['publish', str(trained[0]), '-o', str(out), '--config', str(trained[1])]) == 0
    assert out.read_bytes() == published[0].read_bytes()
    assert capsys.readouterr().out.splitlines()[-1] == f'{published[1]}  {out}'


def test_name_without_config(trained, tmp_path):
    path, digest, meta = module.publish(trained[0], tmp_path)
    assert path.name == f'td-hm_lgm-pose_1xb32-6e_toy-128x128-{digest[:8]}.safetensors'
    bare = tmp_path / 'bare.pth'
    torch.save({'module.w': torch.zeros(2, 3)}, bare)
    path, digest, meta = module.publish(bare, tmp_path)
    assert path.name == f'bare-{digest[:8]}.safetensors'
    assert meta['parameters'] == 6
    assert list(load_from_local(str(path))['state_dict']) == ['w']


def test_what_cannot_be_published(trained, published, tmp_path):
    wrong = tmp_path / 'wrong.pth'
    torch.save(dict(state_dict=dict(w=torch.zeros(1))), wrong)
    with pytest.raises(CheckpointError, match=r'wrong\.pth is not of this network'):
        module.publish(wrong, tmp_path, trained[1])
    with pytest.raises(FileNotFoundError, match=r'none\.py does not exist'):
        module.publish(trained[0], tmp_path, tmp_path / 'none.py')
    with pytest.raises(ValueError, match=r'out\.pth is neither an existing folder nor'):
        module.publish(trained[0], tmp_path / 'out.pth')
    with pytest.raises(ValueError, match='is the checkpoint itself'):
        module.publish(published[0], published[0])
    torch.save([1, 2], wrong)
    with pytest.raises(CheckpointError, match=r'wrong\.pth does not hold the weights'):
        module.publish(wrong, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ['wrong.pth']
