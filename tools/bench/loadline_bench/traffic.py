"""How is one question asked again and again, whatever its encoding?"""

from loadline_bench import load
from loadline_bench.asking import Question, ask
from loadline_bench.load import Load
from loadline_bench.peers import Encoding
from loadline_bench.server import Server


def put_under_load(server: Server, asked: Question, *, connections: int, seconds: int, core: int) -> Load:
    """What the load generator saw; it runs on a core of its own."""
    if asked.encoding is Encoding.GRPC:
        return load.over_grpc(
            server.grpc_port,
            asked.body,
            connections=connections,
            seconds=seconds,
            core=core,
            answer_bytes=ask(server, asked),
        )
    return load.over_http(server.http_port, asked.body, connections=connections, seconds=seconds, core=core)
