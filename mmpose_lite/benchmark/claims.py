"""Speed ratios that the papers claim, and this project's own targets: met or missed in a run."""

from dataclasses import dataclass

from .ratios import Setting

DEPLOYED = ('onnxruntime', 'openvino')


@dataclass(frozen=True)
class Claim:
    """That a network is at least ``least`` times as fast as a peer.

    Args:
        subject: The network, with its input size.
        peer: What it is compared with.
        least: The claimed ratio of speeds.
        source: Who says so.
        backends: Runtimes of the subject, of which the fastest counts.
        peer_backends: Those of the peer, if others.
    """

    subject: str
    peer: str
    least: float
    source: str
    backends: tuple[str, ...] = ('eager',)
    peer_backends: tuple[str, ...] | None = None

    def concerns(self, backend: str) -> set[str]:
        """Labels that must be measured in a runtime."""
        subject = {self.subject} if backend in self.backends else set()
        return subject | ({self.peer} if backend in (self.peer_backends or self.backends) else set())

    def measured(self, setting: Setting) -> float | None:
        """The ratio of speeds in a run; None where something was not measured."""
        if self.peer_backends is None and len(self.backends) == 1:
            time = setting.relative(self.subject, self.peer, self.backends[0])
            return time and 1 / time
        own = setting.best(self.subject, self.backends)
        other = setting.best(self.peer, self.peer_backends or self.backends)
        return other / own if own and other else None


_LGM, _HEVIT, _WG = 'LGM-Pose, CPU FPS', 'HEViTPose, Table 3, CPU', 'WGNet, ms per image'
PAPERS = (
    Claim('lgm-pose@256x192', 'lite-hrnet-18@256x192', 4.5, _LGM),
    Claim('lgm-pose@256x192', 'mobilenetv2@256x192', 1.35, _LGM),
    Claim('lgm-pose@256x192', 'shufflenetv2@256x192', 1.6, _LGM),
    Claim('lgm-pose@256x192', 'hrnet-w32@256x192', 5.0, _LGM),
    Claim('hevitpose-t@256x256', 'lite-hrnet-30@256x256', 1.2, _HEVIT),
    Claim('hevitpose-t@256x256', 'hrnet-w32@256x256', 2.2, _HEVIT),
    Claim('hevitpose-s@256x256', 'hrformer-s@256x256', 1.7, _HEVIT),
    Claim('hevitpose-b@256x256', 'hrnet-w32@256x256', 1.08, _HEVIT),
    Claim('wgnet@256x192', 'hrnet-w32@256x192', 1.5, _WG),
    # the paper's figure fits HRFormer-S at this size only
    Claim('wgnet@256x192', 'hrformer-s@384x288', 2.9, _WG),
)

_OWN = 'own target'
TARGETS = (
    *(
        Claim(label, label, 4.0, _OWN, DEPLOYED, ('eager',))
        for label in ('hevitpose-t@256x192', 'lgm-pose@256x192', 'greit-hrnet-18@256x192')
    ),
    *(
        Claim(subject, peer, 1.0, _OWN, (backend,))
        for subject, peer in (
            ('greit-hrnet-18@256x192', 'lite-hrnet-18@256x192'),
            ('lgm-pose@256x192', 'mobilenetv2@256x192'),
            ('lgm-pose@256x192', 'shufflenetv2@256x192'),
        )
        for backend in ('eager', 'eager-folded', 'compile', *DEPLOYED)
    ),
    Claim('lgm-pose@256x192', 'rtmpose-t@256x192', 0.5, _OWN, DEPLOYED),
)
CLAIMS = (*PAPERS, *TARGETS)


def concerned(backend: str) -> list[str]:
    """Labels of everything that the claims compare in a runtime."""
    return sorted(set().union(*(claim.concerns(backend) for claim in CLAIMS)))
