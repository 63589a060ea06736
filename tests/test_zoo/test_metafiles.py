"""The metafiles: one schema, and every number in them computed again."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from mmpose_lite.cli import main
from mmpose_lite.zoo.complexity import COUNTERS
from mmpose_lite.zoo.metafiles import Cost, Entry, Printed, as_json, as_table, measure, read_zoo, zoo_root

ROOT = Path(__file__).resolve().parents[2]
METAFILES = sorted(ROOT.glob('configs/*/metafile.yml'))
ENTRIES = read_zoo(ROOT)


# ------------------------------------------------------------------------------------------------ the files


def test_the_index_imports_every_metafile():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    assert index == {'Import': [str(path.relative_to(ROOT)) for path in METAFILES]}
    assert zoo_root() == ROOT


MODEL_KEYS = {'Config', 'In Collection', 'Name', 'Metadata', 'Results'}
NUMBERS = {'Parameters': int, 'FLOPs': int} | {f'FLOPs ({name})': int for name in COUNTERS if name != 'mmengine'}
TEXTS = {'Training Data': str, 'Input': str}
PRINTED = ('Paper Parameters', 'Paper FLOPs', 'Paper FLOPs Counter', 'Paper Digits', 'Paper Note', 'Paper Speed')
CONVENTIONS = {'Paper FLOPs Digits': str, 'Paper FLOPs Unit': int, 'Paper Hardware': str}

RESULTS = dict(COCO=('COCO', 'COCO test-dev'), MPII=('MPII', 'MPII test'))


@pytest.mark.parametrize('path', METAFILES, ids=lambda path: path.parent.name)
def test_one_schema_for_all(path):
    metafile = yaml.safe_load(path.read_text())
    assert metafile.keys() == {'Collections', 'Models'}
    (collection,) = metafile['Collections']
    assert collection.keys() - {'Metadata'} == {'Name', 'Paper', 'README'}
    assert collection['README'] == f'configs/{path.parent.name}/README.md'
    assert 'Title' in collection['Paper']
    assert all(isinstance(value, CONVENTIONS[key]) for key, value in collection.get('Metadata', {}).items())
    for model in metafile['Models']:
        assert model.keys() <= MODEL_KEYS
        assert model.keys() >= MODEL_KEYS - {'Results'}
        assert model['In Collection'] == collection['Name']
        assert (ROOT / model['Config']).is_file()
        assert model['Config'].startswith(f'configs/{path.parent.name}/')
        assert Path(model['Config']).stem == model['Name']
        data = model['Metadata']
        assert data['Architecture']
        known = {'Architecture', *NUMBERS, *TEXTS, *PRINTED}
        assert data.keys() <= known
        for key, kind in ({**NUMBERS, **TEXTS} | dict.fromkeys(PRINTED, str)).items():
            assert key not in data or isinstance(data[key], kind), (model['Name'], key)
        assert {'Parameters', 'FLOPs', *TEXTS} <= data.keys()
        assert f'{data["Training Data"].lower()}-{data["Input"]}' in model['Name']
        assert data.get('Paper Digits', 'rounded') in ('rounded', 'truncated')
        assert ('Paper FLOPs' in data) == ('Paper FLOPs Counter' in data)
        for result in model.get('Results', []):
            # we have no accuracy of our own yet
            assert result['Source'] == 'reported by the paper'
            assert result['Dataset'] in RESULTS[data['Training Data']]
            assert all(0 < value < 1 for value in result['Metrics'].values())


def test_every_main_config_is_listed():
    listed = {entry.config for entry in ENTRIES}
    networks = [path.parent for path in ROOT.glob('configs/*/metafile.yml')]
    assert len(networks) == 4
    leaves = {path for folder in networks for path in folder.glob('td-hm_*.py') if 'toy' not in path.name}
    assert len(leaves) > 15
    assert leaves <= listed
    assert len(listed) == len(ENTRIES)


# ------------------------------------------------------------------------------------------------ the numbers


@pytest.mark.parametrize('entry', ENTRIES, ids=lambda entry: entry.name)
def test_numbers_are_those_of_the_built_network(entry):
    # MMEngine's counter traces the network, which takes most of the time: once for each network
    first = next(other for other in ENTRIES if other.config.parent == entry.config.parent)
    counters = [name for name in entry.recorded if name != 'parameters' and (name != 'mmengine' or entry == first)]
    cost = measure(entry, counters)
    assert {name: cost.numbers[name] for name in ('parameters', *counters)} == {
        name: entry.recorded[name] for name in ('parameters', *counters)
    }


@pytest.mark.parametrize('entry', ENTRIES, ids=lambda entry: entry.name)
def test_printed_numbers_are_met_or_it_is_said_why_not(entry):
    cost = Cost(entry, entry.recorded)  # which the test above compares with the network
    assert (False in (cost.parameters_exact, cost.flops_exact)) == bool(entry.note)


COCO_METRICS = ('AP', 'AP@0.5', 'AP@0.75', 'AP (M)', 'AP (L)', 'AR')
PCKH_METRICS = ('Head', 'Shoulder', 'Elbow', 'Wrist', 'Hip', 'Knee', 'Ankle', 'Mean')


def test_metafiles_hold_all_that_the_papers_print_of_their_networks():
    listed = []
    for path in METAFILES:
        for model in yaml.safe_load(path.read_text())['Models']:
            if 'Paper Speed' in model['Metadata']:
                listed.append((model['Name'], 'speed', model['Metadata']['Paper Speed']))
            for result in model.get('Results', []):
                names = PCKH_METRICS if result['Dataset'].startswith('MPII') else COCO_METRICS
                assert list(result['Metrics']) == [name for name in names if name in result['Metrics']]
                values = ' '.join(f'{100 * value:.1f}' for value in result['Metrics'].values())
                listed.append((model['Name'], result['Dataset'], values))
    with (Path(__file__).parent / 'papers.csv').open() as file:
        printed = [(row['config'], row['data'], row['printed']) for row in csv.DictReader(file)]
    assert sorted(listed) == sorted(printed)


def test_misprints_are_marked_as_off():
    costs = [Cost(entry, entry.recorded) for entry in ENTRIES]
    off = {cost.entry.name for cost in costs if False in (cost.parameters_exact, cost.flops_exact)}
    greit = 'td-hm_greit-hrnet-18-lks-{}_8xb32-210e_coco-256x192'
    assert off == {greit.format('gcw'), greit.format('gsw')}


@pytest.mark.parametrize(
    ('text', 'digits', 'unit', 'met', 'missed'),
    [
        ('0.6 G', 'truncated', 10**9, (600_000_000, 699_999_999), (599_999_999, 700_000_000)),
        ('0.90 G', 'rounded', 10**9, (895_000_000, 904_999_999), (894_999_999, 905_000_000)),
        ('1.1 M', 'rounded', 10**6, (1_050_000, 1_149_999), (1_049_999, 1_150_000)),
        ('0.2 G', 'truncated', 1000 * 2**20, (209_715_200, 314_572_799), (209_715_199, 314_572_800)),
    ],
)
def test_printed_digits(text, digits, unit, met, missed):
    printed = Printed(text, digits, unit)
    assert [printed.matches(value) for value in (*met, *missed)] == [True, True, False, False]


# ------------------------------------------------------------------------------------------------ the command


@pytest.fixture
def small_zoo(monkeypatch) -> list[Entry]:
    """One network that meets its printed numbers and one that does not."""
    met = next(entry for entry in ENTRIES if entry.name == 'td-hm_lgm-pose_1xb32-260e_coco-256x192')
    off = replace(met, name='misprinted', parameters=Printed('1.2 M', 'rounded', 10**6), note='a misprint')
    entries = [met, off]
    monkeypatch.setattr('mmpose_lite.zoo.metafiles.read_zoo', lambda: entries)
    return entries


def test_table(small_zoo, capsys):
    assert main(['info', '--zoo']) == 0
    captured = capsys.readouterr()
    assert 'counting' in captured.err  # progress does not mix with the table
    lgm = next(line for line in captured.out.splitlines() if line.startswith('td-hm_lgm-pose'))
    assert lgm.split()[1:] == (
        ['256x192', '1,057,881', '1.1', 'M', 'exact', '676,617,216', '0.6', 'G', 'exact', '676,515,840', '656,366,592']
    )
    off = next(line for line in captured.out.splitlines() if line.startswith('misprinted'))
    assert off.split()[2:6] == ['1,057,881', '1.2', 'M', 'off']
    assert '3 of 4 printed numbers' in captured.out
    assert 'counted by mmcv, truncated, G = 1,000,000,000; parameters rounded' in captured.out
    assert 'off: misprinted: a misprint' in captured.out


def test_json(small_zoo, capsys):
    assert main(['info', '--zoo', '--json']) == 0
    lgm, off = json.loads(capsys.readouterr().out)
    assert lgm['input_size'] == dict(height=256, width=192)
    assert lgm['parameters'] == 1057881
    assert lgm['flops'] == dict(mmengine=676515840, macs=656366592, mmcv=676617216)
    assert lgm['flops_printed'] == dict(text='0.6 G', digits='truncated', unit=10**9, exact=True)
    assert off['parameters_printed']['exact'] is False
    assert off['note'] == 'a misprint'


def test_json_without_the_table_is_refused(capsys):
    assert main(['info', '--json']) == 1
    assert 'for the tables of --zoo and --weights: add one of them' in capsys.readouterr().err


def test_rows_without_printed_flops_are_blank():
    entry = next(entry for entry in ENTRIES if entry.name.startswith('td-hm_wgnet-w_'))
    cost = Cost(entry, entry.recorded)
    row = next(line for line in as_table([cost]).splitlines() if line.startswith(entry.name))
    assert row.split()[2:] == ['4,934,686', '4.9', 'M', 'exact', '1,730,825,984', '2,361,476,864']
    assert as_json([cost])[0]['flops_printed'] is None


def test_a_broken_metafile_is_named(tmp_path):
    shutil.copytree(ROOT / 'configs' / 'wgnet', tmp_path / 'configs' / 'wgnet')
    (tmp_path / 'model-index.yml').write_text('Import: [configs/wgnet/metafile.yml]')
    metafile = tmp_path / 'configs' / 'wgnet' / 'metafile.yml'
    metafile.write_text(metafile.read_text().replace('    Input: 256x192\n', '', 1))
    with pytest.raises(
        ValueError, match=r"wgnet/metafile.yml: td-hm_wgnet_1xb32-200e_coco-256x192: KeyError\('Input'\)"
    ):
        read_zoo(tmp_path)
