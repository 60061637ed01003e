"""A client of Trimaran, written from the published protos and nothing else.

    python -m grpc_tools.protoc -I proto/proto --python_out=. --grpc_python_out=. \
        $(find proto/proto/trimaran -name '*.proto')
    python stranger.py 127.0.0.1:7201 127.0.0.1:7202 127.0.0.1:7203

Finds the node that serves, makes a queue, sends, browses and receives, with single calls and over a session, and looks
at server reflection and the health service. Prints what it did; any surprise ends it with a traceback.
"""

import queue
import sys
import time

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from trimaran.admin.v1 import admin_pb2, admin_pb2_grpc
from trimaran.message.v1 import message_pb2
from trimaran.queue.v1 import queue_pb2, queue_pb2_grpc

QUEUE = "PYTHON"
OK, FAILED = 0, 2
NO_MESSAGE, REPLICA, NOBODY = 2033, 2543, 2059


def message(text, **descriptor):
    descriptor.setdefault("persistence", message_pb2.PERSISTENCE_PERSISTENT)
    return message_pb2.Message(
        mqmd=message_pb2.Descriptor(format="MQSTR", **descriptor), body=text.encode())


class Session:
    """A bidirectional stream: calls out, completions back by token."""

    def __init__(self, channel):
        self.calls = queue.Queue()
        self.token = 0
        stub = queue_pb2_grpc.QueueStub(channel)
        self.answers = stub.Session(iter(self.calls.get, None))
        self.waiting = {}

    def start(self, **call):
        self.token += 1
        call = queue_pb2.Call(token=self.token, **call)
        self.calls.put(queue_pb2.SessionRequest(calls=[call]))
        return self.token

    def wait(self, token):
        while token not in self.waiting:
            for completion in next(self.answers).completions:
                self.waiting[completion.token] = completion
        return self.waiting.pop(token)

    def call(self, **call):
        completion = self.wait(self.start(**call))
        assert completion.outcome.code == OK, completion
        return completion

    def close(self):
        self.calls.put(None)
        for _ in self.answers:
            pass


def find_the_one_that_serves(addresses):
    """Every node is asked; those that do not serve say who does."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        for address in addresses:
            channel = grpc.insecure_channel(address)
            answer = queue_pb2_grpc.QueueStub(channel).Get(
                queue_pb2.GetRequest(queue=QUEUE), timeout=5, wait_for_ready=True)
            if answer.outcome.reason in (REPLICA, NOBODY):
                if answer.serving.address:
                    return answer.serving.address
            else:
                return address
        time.sleep(0.1)
    raise SystemExit("nobody serves")


def single_calls(channel):
    stub = queue_pb2_grpc.QueueStub(channel)
    ids = []
    for text in ("Hello", "This", "is", "a", "test"):
        put = stub.Put(queue_pb2.PutRequest(queue=QUEUE, message=message(text)))
        assert put.outcome.code == OK and len(put.message_id) == 24, put
        ids.append(put.message_id)

    browsed = list(stub.Browse(queue_pb2.BrowseRequest(queue=QUEUE)))
    assert browsed[-1].outcome.reason == NO_MESSAGE, browsed[-1]
    assert [m.message.body.decode() for m in browsed[:-1]] == ["Hello", "This", "is", "a", "test"], browsed
    assert [m.message.mqmd.message_id for m in browsed[:-1]] == ids

    third = stub.Get(queue_pb2.GetRequest(queue=QUEUE, message_id=ids[2]))
    assert third.message.body == b"is", third
    rest = []
    while True:
        got = stub.Get(queue_pb2.GetRequest(queue=QUEUE))
        if got.outcome.reason == NO_MESSAGE:
            break
        assert got.outcome.code == OK, got
        rest.append(got.message.body.decode())
    assert rest == ["Hello", "This", "a", "test"], rest

    first = queue_pb2.PutRequest(
        queue=QUEUE, message=message("once"),
        producer_sequence=queue_pb2.ProducerSequence(producer="stranger", sequence=1))
    once, again = stub.Put(first), stub.Put(first)
    assert not once.duplicate and again.duplicate and once.message_id == again.message_id, (once, again)
    assert stub.Get(queue_pb2.GetRequest(queue=QUEUE)).message.body == b"once"
    assert stub.Get(queue_pb2.GetRequest(queue=QUEUE)).outcome.reason == NO_MESSAGE
    unknown = stub.Put(queue_pb2.PutRequest(queue="NO.SUCH.QUEUE", message=message("?")))
    assert unknown.outcome.code == FAILED and unknown.outcome.reason == 2085 and unknown.outcome.text, unknown
    print("single calls: 6 sent, 5 browsed, 6 received, 1 duplicate recognised")


def over_a_session(channel):
    session = Session(channel)
    connected = session.call(connect=queue_pb2.Connect(application_name="stranger")).connected
    assert connected.queue_manager and connected.node, connected
    session.call(open=queue_pb2.Open(handle=1, queue=QUEUE, output=True, input=True, browse=True, inquire=True))

    # A hundred puts on their way at once.
    tokens = [session.start(put=queue_pb2.Put(handle=1, message=message(f"number {n}", priority=n % 10)))
              for n in range(100)]
    for token in tokens:
        assert session.wait(token).outcome.code == OK
    assert session.call(inquire=queue_pb2.Inquire(handle=1)).queue.depth == 100

    # Higher priorities first, and in order within one.
    expected = [n for priority in range(9, -1, -1) for n in range(priority, 100, 10)]
    step, seen = queue_pb2.BROWSE_FIRST, []
    while True:
        completion = session.wait(session.start(get=queue_pb2.Get(handle=1, browse=step)))
        if completion.outcome.reason == NO_MESSAGE:
            break
        seen.append(int(completion.got.message.body.decode().split()[1]))
        step = queue_pb2.BROWSE_NEXT
    assert seen == expected, seen

    # A unit of work that is taken back, and one that is not.
    session.call(get=queue_pb2.Get(handle=1, syncpoint=True))
    session.call(put=queue_pb2.Put(handle=1, message=message("never"), syncpoint=True))
    session.call(backout=queue_pb2.Backout())
    received = []
    for _ in range(100):
        got = session.call(get=queue_pb2.Get(handle=1, syncpoint=True)).got.message
        received.append(int(got.body.decode().split()[1]))
    session.call(commit=queue_pb2.Commit(unit_id=b"stranger's unit"))
    assert received == expected, received
    unit = session.call(unit_outcome=queue_pb2.UnitOutcome(unit_id=b"stranger's unit")).unit
    assert unit.state == queue_pb2.UnitStatus.STATE_COMMITTED, unit

    # A get that waits does not hold up the put that ends its wait.
    waiting = session.start(get=queue_pb2.Get(handle=1, wait_ms=10000))
    session.call(put=queue_pb2.Put(handle=1, message=message("at last")))
    assert session.wait(waiting).got.message.body == b"at last"
    session.close()
    print("session: 102 sent, 100 browsed, 101 received")


def reflection_and_health(channel):
    services = ProtoReflectionDescriptorDatabase(channel).get_services()
    for service in ("trimaran.queue.v1.Queue", "trimaran.admin.v1.Admin", "grpc.health.v1.Health"):
        assert service in services, services
    database = ProtoReflectionDescriptorDatabase(channel)
    described = database.FindFileContainingSymbol("trimaran.queue.v1.Queue")
    methods = [method.name for method in described.service[0].method]
    assert methods == ["Session", "Put", "Get", "Browse"], methods

    health = health_pb2_grpc.HealthStub(channel)
    for service in ("", "trimaran.queue.v1.Queue"):
        status = health.Check(health_pb2.HealthCheckRequest(service=service)).status
        assert status == health_pb2.HealthCheckResponse.SERVING, (service, status)
    print("reflection:", ", ".join(sorted(services)))
    print("health: serving")


def main(addresses):
    serving = find_the_one_that_serves(addresses)
    channel = grpc.insecure_channel(serving)
    created = admin_pb2_grpc.AdminStub(channel).Define(admin_pb2.DefineRequest(kind="QLOCAL", name=QUEUE))
    assert created.outcome.code == OK, created
    single_calls(channel)
    over_a_session(channel)
    reflection_and_health(channel)
    shown = admin_pb2_grpc.AdminStub(channel).Display(admin_pb2.DisplayRequest(kind="QLOCAL", name=QUEUE))
    assert shown.objects[0].status.depth == 0, shown


main(sys.argv[1:])
