"""The command line: what it prints, and one clear line for what goes wrong."""

import pytest

from mmpose_lite.cli import main


def test_info_lists_versions_mends_and_networks(capsys):
    assert main(['info']) == 0
    out = capsys.readouterr().out
    for text in ('torch ', 'mmpose ', 'torchvision operators', 'checkpoint loading', 'LGMPose', 'WGNet'):
        assert text in out


def test_toy_data(tmp_path, capsys):
    arguments = ['toy-data', str(tmp_path / 'toy'), '--train', '2', '--val', '1', '--seed', '5']
    assert main(arguments) == 0
    assert 'now holds 2 training and 1 validation pictures' in capsys.readouterr().out
    assert main(arguments) == 0
    assert 'already holds' in capsys.readouterr().out


def test_error_is_one_line_without_traceback(tmp_path, capsys):
    (tmp_path / 'mine.txt').write_text('keep me')
    assert main(['toy-data', str(tmp_path), '--train', '1', '--val', '1']) == 1
    err = capsys.readouterr().err
    assert err.startswith('mmpose-lite: error: ')
    assert str(tmp_path) in err
    assert err.count('\n') == 1
    assert (tmp_path / 'mine.txt').read_text() == 'keep me'


def test_unknown_command(capsys):
    with pytest.raises(SystemExit):
        main(['fly'])
    assert 'toy-data' in capsys.readouterr().err
