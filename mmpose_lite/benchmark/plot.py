"""Reported accuracy against measured time, as a picture."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from matplotlib.transforms import Bbox

from .claims import DEPLOYED
from .ratios import Setting, settings

OURS, PEER, INK = '#c2410c', '#64748b', '#1e293b'
_PANELS = {'COCO AP': 'COCO val AP, 256x192', 'MPII PCKh': 'MPII val PCKh@0.5, 256x256'}


def accuracy(results: dict, against: str, path: Path) -> None:
    """Draw the first number of threads and batch size: each network in the first runtime and in the fastest deployed.

    Args:
        results: What ``results.json`` holds.
        against: Label of the network whose time in the first runtime is 1.
        path: PNG to write.
    """
    setting = settings(results)[0]
    base = next((backend for backend in setting.backends if setting.row(against, backend)), setting.backends[0])
    figure = Figure(figsize=(13, 6.4), layout='constrained', facecolor='white')
    FigureCanvasAgg(figure)
    unit = setting.best(against, (base,))
    panels = figure.subplots(1, 2, sharex=True)
    for axes, (key, title) in zip(panels, _PANELS.items(), strict=True):
        points = _points(setting, key, base, unit)
        axes.set_title(title, loc='left', color=INK, fontsize=12)
        _style(axes)
        for x, y, slow, facts in points:
            color, order = (OURS, 4) if facts['ours'] else (PEER, 3)
            axes.plot((x, slow), (y, y), color=color, alpha=0.35, linewidth=1.2, zorder=1)
            axes.plot(slow, y, 'o', markersize=6, markerfacecolor='white', markeredgecolor=color, zorder=2)
            axes.plot(x, y, 'o', markersize=7, color=color, markeredgecolor='white', zorder=order)
    fastest = [backend for backend in DEPLOYED if backend in setting.backends and backend != base]
    title = results['networks'][against]['title']
    figure.supxlabel(
        f'time of one forward pass, {title} in {base} PyTorch = 1 (less is faster)', fontsize=11, color=INK
    )
    words = f'{setting.threads} thread{"s" * (setting.threads > 1)}, batch {setting.batch}'
    legend = f'○ {base}    ● {"fastest of " * (len(fastest) > 1)}{", ".join(fastest)}' if fastest else f'● {base}'
    figure.suptitle(f'Reported accuracy against measured time      {legend}      {words}', color=INK, fontsize=12)
    figure.draw_without_rendering()  # labels look for room in the final layout
    for axes, key in zip(panels, _PANELS, strict=True):
        _label(axes, _points(setting, key, base, unit))
    figure.savefig(path, dpi=150, format='png')


def _points(setting: Setting, key: str, base: str, unit: float | None) -> list[tuple[float, float, float, dict]]:
    """Fastest time, accuracy, time in ``base`` and facts, of networks whose accuracy is known; one size of each."""
    points = []
    for label, facts in setting.results['networks'].items():
        slow, fast = setting.best(label, (base,)), setting.best(label, DEPLOYED)
        if slow and unit and key in facts['accuracy'] and list(setting.results['plan']['size']) == facts['size']:
            points.append(((fast or slow) / unit, facts['accuracy'][key], slow / unit, facts))
    return points


def _style(axes: Axes) -> None:
    axes.set_xscale('log')
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color='#e2e8f0', linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
    axes.spines[['left', 'bottom']].set_color('#94a3b8')
    axes.tick_params(colors='#475569')
    axes.margins(0.16, 0.1)


def _label(axes: Axes, points: list[tuple[float, float, float, dict]]) -> None:
    """Write each name where it covers least of the names and marks before it."""
    pixel = axes.figure.dpi / 72
    taken = []
    for x, y, slow, _ in points:
        start, end = axes.transData.transform([(x, y), (slow, y)])
        taken.append(Bbox([start - 2 * pixel, end + 2 * pixel]))  # the line between its marks
        taken += [Bbox([at - 7 * pixel, at + 7 * pixel]) for at in (start, end)]
    for x, y, _, facts in sorted(points, key=lambda point: not point[3]['ours']):
        choices = []
        for dx, dy, across, down in (
            (-8, 0, 'right', 'center'),
            (0, 7, 'center', 'bottom'),
            (0, -7, 'center', 'top'),
            (-6, 5, 'right', 'bottom'),
            (-6, -5, 'right', 'top'),
            (6, 5, 'left', 'bottom'),
            (6, -5, 'left', 'top'),
        ):
            text = axes.annotate(
                facts['title'],
                (x, y),
                (dx, dy),
                textcoords='offset points',
                ha=across,
                va=down,
                fontsize=9,
                color=OURS if facts['ours'] else INK,
                fontweight='bold' if facts['ours'] else 'normal',
                zorder=5,
            )
            box = text.get_window_extent()
            covered = sum(_overlap(box, other) for other in taken)
            outside = box.width * box.height - _overlap(box, axes.bbox)
            choices.append((covered + outside, len(choices), text, box))
        best = min(choices)
        for choice in choices:
            if choice is not best:
                choice[2].remove()
        taken.append(best[3])


def _overlap(a: Bbox, b: Bbox) -> float:
    shared = Bbox.intersection(a, b)
    return shared.width * shared.height if shared is not None else 0.0
