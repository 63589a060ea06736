"""Checkpoints by address and by name: safe from wherever they come, and with the hash that was promised."""

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import torch
from mmengine.runner import checkpoint as upstream
from safetensors.torch import save_file
from test_checkpoint import Call, touch

from mmpose_lite import checkpoint
from mmpose_lite.checkpoint import CheckpointError, sha256

WEIGHTS = {'w': torch.arange(3.0)}
NAMED = {
    '': 'evil.pth',
    'http://': None,  # the address of the server
    'https://': None,
    'torchvision://': 'torchvision://evil',
    'modelzoo://': 'modelzoo://evil',
    'open-mmlab://': 'open-mmlab://evil',
    'openmmlab://': 'openmmlab://in_home',
    'mmcls://': 'mmcls://evil',
    'pavi://': 'pavi://models/evil',
    r'(\S+\:)?s3://': 'cluster:s3://bucket/evil.pth',
    r'(\S+\:)?petrel://': 'petrel://bucket/evil.pth',
}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder and the address under which it is served; the cache of torch.hub is elsewhere, and empty."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch_home'))
    monkeypatch.setenv('no_proxy', '*')
    folder = tmp_path / 'site'
    folder.mkdir()
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f'http://127.0.0.1:{server.server_port}'
    server.shutdown()
    server.server_close()


def load(name: str) -> dict:
    return upstream.CheckpointLoader.load_checkpoint(name, map_location='cpu', logger='silent')


def test_every_scheme_of_mmengine_is_known():
    assert NAMED.keys() == upstream.CheckpointLoader._schemes.keys()


@pytest.mark.parametrize('version', [checkpoint.TORCH_VERSION, (2, 4)], ids=['this torch', 'older torch'])
@pytest.mark.parametrize('scheme', NAMED)
def test_code_does_not_run_from_wherever_it_comes(site, tmp_path, monkeypatch, scheme, version):
    folder, address = site
    monkeypatch.setattr(checkpoint, 'TORCH_VERSION', version)
    monkeypatch.chdir(folder)
    target = tmp_path / 'ran'
    torch.save({'state_dict': Call(touch, str(target))}, folder / 'evil.pth')
    listed = dict(evil=f'{address}/evil.pth', in_home='evil.pth')
    for name in ('get_torchvision_models', 'get_external_models', 'get_mmcls_models'):
        monkeypatch.setattr(upstream, name, lambda: listed)
    monkeypatch.setattr(upstream, '_get_mmengine_home', lambda: str(folder))
    if scheme == 'https://':  # the same function
        assert upstream.CheckpointLoader._schemes['https://'] is upstream.CheckpointLoader._schemes['http://']
        return
    with pytest.raises(CheckpointError, match=r'would run code \(\S+\.touch\)|cannot be read safely from there'):
        load(NAMED[scheme] or listed['evil'])
    assert not target.exists()


def test_download_is_cached(site):
    folder, address = site
    torch.save(dict(state_dict=WEIGHTS), folder / 'weights.pth')
    save_file(WEIGHTS, folder / 'weights.safetensors')
    for name in ('weights.pth', 'weights.safetensors'):
        assert torch.equal(load(f'{address}/{name}')['state_dict']['w'], WEIGHTS['w'])
        (folder / name).unlink()
        assert torch.equal(load(f'{address}/{name}')['state_dict']['w'], WEIGHTS['w'])


def test_unknown_names_and_addresses(site):
    with pytest.raises(OSError, match=r'cannot download http.*/none\.pth .*404.*give the file'):
        load(f'{site[1]}/none.pth')
    with pytest.raises(ValueError, match=r'openmmlab://none is not in the lists'):
        load('openmmlab://none')


# ------------------------------------------------------------------------------------------------ hashes


def test_hash_behind_a_file_name_is_verified(tmp_path):
    file = tmp_path / 'weights.pth'
    torch.save(dict(state_dict=WEIGHTS), file)
    for digits in (8, 64):
        assert 'w' in load(f'{file}#sha256={sha256(file)[:digits].upper()}')['state_dict']
    with pytest.raises(CheckpointError, match=r'weights\.pth has the sha256 \w{64}, not 00000000: .*get it again'):
        load(f'{file}#sha256=00000000')


def test_hash_in_the_name_of_published_weights_is_verified(tmp_path):
    file = tmp_path / 'weights.safetensors'
    save_file(WEIGHTS, file)
    good, bad = (tmp_path / f'net-{digits}.safetensors' for digits in (sha256(file)[:8], '0123abcd'))
    good.write_bytes(file.read_bytes())
    file.rename(bad)
    assert 'w' in load(str(good))['state_dict']
    with pytest.raises(CheckpointError, match=r'net-0123abcd\.safetensors has the sha256'):
        load(str(bad))


def test_name_of_a_pth_file_on_disk_is_no_promise(tmp_path):
    torch.save(dict(state_dict=WEIGHTS), tmp_path / 'best-0123abcd.pth')
    assert 'w' in load(str(tmp_path / 'best-0123abcd.pth'))['state_dict']


def test_download_with_another_hash_leaves_nothing(site, tmp_path):
    folder, address = site
    torch.save(dict(state_dict=WEIGHTS), folder / 'net-0123abcd.pth')
    for name in (f'{address}/net-0123abcd.pth', f'{address}/net-0123abcd.pth#sha256={"0" * 64}'):
        with pytest.raises(CheckpointError, match=r'net-0123abcd\.pth is not the file that it should be.*invalid hash'):
            load(name)
    assert list((tmp_path / 'torch_home').rglob('*.*')) == []
    digest = sha256(folder / 'net-0123abcd.pth')
    assert 'w' in load(f'{address}/net-0123abcd.pth#sha256={digest}')['state_dict']
