"""How does PyTriton run the model?"""

import numpy as np
from model import GRPC_PORT, HTTP_PORT, METRICS_PORT, NAME, Rows, run, session
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

loaded = session()


@batch
def infer(input: Rows) -> list[Rows]:  # noqa: A002 - the name of the model's input
    """Answer the requests of one batch."""
    return [run(loaded, input)]


config = TritonConfig(
    http_port=HTTP_PORT, grpc_port=GRPC_PORT, metrics_port=METRICS_PORT, allow_metrics=False, log_verbose=0
)
with Triton(config=config) as triton:
    triton.bind(
        NAME,
        infer,
        inputs=[Tensor(name="input", dtype=np.float32, shape=tuple(loaded.get_inputs()[0].shape[1:]))],
        outputs=[Tensor(name="output", dtype=np.float32, shape=tuple(loaded.get_outputs()[0].shape[1:]))],
        config=ModelConfig(max_batch_size=64, batcher=DynamicBatcher(max_queue_delay_microseconds=0)),
    )
    triton.serve()
