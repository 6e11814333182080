"""A candidate's network as an ONNX file before any training, to time it elsewhere.

Its weights are random: latency does not depend on them, accuracy does. The file says so.
"""

from __future__ import annotations

import onnx

from jobs import views
from profiler.graphs import network_model
from service import candidates
from service.instance import Instance
from service.spec import JobSpec
from supernet.config import ChannelConfig

NOTE = "random weights: to measure latency with, not to classify"


def untrained(
    instance: Instance, job: str, candidate: str, precision: str | None = None
) -> tuple[str, bytes]:
    """A file name, and the network in the job's batch size.

    Args:
        precision: fp32, fp16 or int8; by default the job's. int8 carries Q/DQ nodes.

    Raises:
        UnknownError: no such job or candidate.
    """
    found = candidates.one(instance, job, candidate)
    spec = JobSpec.model_validate_json(views.show(instance.database, job).spec)
    precision = precision or spec.target.precision
    config = ChannelConfig.from_json(found.config)
    model = onnx.ModelProto.FromString(
        network_model(spec.network, config, spec.target.batch, precision)
    )
    model.doc_string = f"{spec.name} {found.id}; {NOTE}"
    name = f"{spec.name}-{found.id}-{precision}-untrained.onnx"
    return name, model.SerializeToString()
