"""Public figures of the GPUs that are modelled, each with its source.

Figures are those of the vendor's data sheets and white papers: dense (without structured sparsity)
and at the boost clock, which a power limit may forbid. Knows nothing of networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from profiler.backend import BackendError

START_US = 2.0
"""Assumed, not published: between the end of a kernel and the first results of the next, in a
captured graph: about half a microsecond to start it (NVIDIA's blog "Getting Started with CUDA
Graphs", 2019, found 3.4 us a kernel of 2.9 us), the rest for filling and draining its pipeline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """What is public of one GPU.

    Attributes:
        name: as a table's target shows it.
        sms: streaming multiprocessors.
        boost_mhz: the clock at which the throughputs hold.
        tera_ops: dense operations per second in millions of millions, by precision; a
            multiply-add is two. fp32 is that of the CUDA cores: TF32 is off.
        gbytes: bytes per second between the chip and its memory, in thousand millions.
        l2_mib: second-level cache.
        start_us: what every kernel takes beside its work.
        source: where the figures stand.
    """

    name: str
    sms: int
    boost_mhz: int
    tera_ops: Mapping[str, float]
    gbytes: float
    l2_mib: int
    source: str
    start_us: float = START_US

    def macs_per_us(self, precision: str) -> float:
        """Multiply-adds of one multiprocessor per microsecond."""
        return self.tera_ops[precision] * 1e6 / 2 / self.sms

    @property
    def l2_bytes(self) -> int:
        """Size of the second-level cache."""
        return self.l2_mib << 20


def _ops(fp32: float, fp16: float, int8: float) -> Mapping[str, float]:
    return MappingProxyType({"fp32": fp32, "fp16": fp16, "int8": int8})


_A100 = "NVIDIA A100 Tensor Core GPU architecture white paper (2020), table 1; A100 data sheet"

GPUS: Mapping[str, Gpu] = MappingProxyType(
    {
        "t4": Gpu(
            name="NVIDIA T4",
            sms=40,
            boost_mhz=1590,
            tera_ops=_ops(8.1, 65, 130),
            gbytes=320,
            l2_mib=4,
            source="NVIDIA Turing GPU architecture white paper (2018), appendix A; T4 data sheet",
        ),
        "a100": Gpu(
            name="NVIDIA A100 SXM4 40GB",
            sms=108,
            boost_mhz=1410,
            tera_ops=_ops(19.5, 312, 624),
            gbytes=1555,
            l2_mib=40,
            source=_A100,
        ),
        "a100-80gb": Gpu(
            name="NVIDIA A100 SXM4 80GB",
            sms=108,
            boost_mhz=1410,
            tera_ops=_ops(19.5, 312, 624),
            gbytes=2039,
            l2_mib=40,
            source=_A100,
        ),
        "h100": Gpu(
            name="NVIDIA H100 SXM5 80GB",
            sms=132,
            boost_mhz=1830,  # of the tensor cores; the fp32 figure holds at 1980
            tera_ops=_ops(66.9, 989.4, 1978.9),
            gbytes=3350,
            l2_mib=50,
            source="NVIDIA H100 Tensor Core GPU architecture white paper (v1.04, 2023), table 2",
        ),
        "l4": Gpu(
            name="NVIDIA L4",
            sms=58,
            boost_mhz=2040,
            tera_ops=_ops(30.3, 121, 242.5),
            gbytes=300,
            l2_mib=48,
            source="NVIDIA L4 data sheet (2023), its sparse figures halved; "
            "NVIDIA Ada GPU architecture white paper",
        ),
        "orin": Gpu(
            name="NVIDIA Jetson AGX Orin 64GB",
            sms=16,
            boost_mhz=1300,
            tera_ops=_ops(5.3, 42.5, 85),
            gbytes=204.8,
            l2_mib=4,
            source="NVIDIA Jetson AGX Orin series technical brief v1.2 (2022), its sparse figures "
            "halved; the GPU alone, without the accelerators beside it",
        ),
    }
)
DEFAULT = "a100"


def find(device: str) -> Gpu:
    """The GPU of a short name (`a100`) or of the name that a target shows.

    Raises:
        BackendError: neither; names the short ones.
    """
    by_name = {gpu.name: gpu for gpu in GPUS.values()}
    if (gpu := GPUS.get(device) or by_name.get(device)) is None:
        raise BackendError(f"device of modelled must be one of {', '.join(GPUS)}, got {device!r}")
    return gpu
