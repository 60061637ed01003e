"""Puts, browses, gets and moves messages of a Trimaran cluster, over nothing but gRPC and the published protos.

    python sample.py put HA.QUEUE < lines        a message a line, each stored once
    python sample.py browse HA.QUEUE
    python sample.py get HA.QUEUE
    python sample.py move HA.QUEUE OTHER.QUEUE   all messages, each in a unit of work

`python sample.py --help` has the options. README.md, one folder up, says how the stubs are generated and what is to be seen.
"""

import argparse
import contextlib
import queue
import sys
import time
import uuid

import grpc

from trimaran.message.v1 import message_pb2
from trimaran.queue.v1 import queue_pb2, queue_pb2_grpc

OK, WARNING = 0, 1
BACKED_OUT, NO_MESSAGE, CALL_INTERRUPTED = 2003, 2033, 2549
# The node does not serve, or not any more, and has not done what it was asked: connection broken, nobody serves (an
# election, most likely), quiescing, stopping, replica.
MOVED = (2009, 2059, 2161, 2162, 2543)
# A node that stops, one that died, and one that hangs.
LOST = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED)


class Refused(Exception):
    """The queue manager said no: MQ's completion code and reason code, and what to do about it."""

    def __init__(self, outcome):
        super().__init__(f"completion code {outcome.code}, reason {outcome.reason}: {outcome.text}")
        self.reason = outcome.reason


class Lost(Exception):
    """The node that was asked is gone, and nobody can say whether it did what it was asked."""


class Unreachable(Exception):
    """The node that was to be asked is not there, and was not asked."""


def expect(outcome):
    if outcome.code not in (OK, WARNING):
        raise Refused(outcome)


class Cluster:
    """Finds the node that serves the queue manager, again and again if need be, for `patience` seconds at a time."""

    def __init__(self, addresses, credentials=None, server_name=None, queue_manager="", patience=30):
        self.addresses, self.credentials, self.server_name = addresses, credentials, server_name
        self.queue_manager, self.patience = queue_manager, patience
        self.serving, self.connection = None, None

    def call(self, call):
        """What `call(stub)` answers, from the node that serves. It gives up only when nobody serves for too long.

        Lost passes: whether a call may be made once more is for those to say who know what it does.
        """
        until = time.monotonic() + self.patience
        number = 0
        while True:
            address = self.serving or self.addresses[number % len(self.addresses)]
            number += 1
            try:
                answer = call(self.stub(address))
            except Unreachable as unreachable:
                reason, elsewhere = str(unreachable), ""
            else:
                if answer.outcome.reason == CALL_INTERRUPTED:
                    raise Lost(answer.outcome.text)
                if answer.outcome.reason not in MOVED:
                    self.serving = address
                    return answer
                reason, elsewhere = answer.outcome.text, answer.serving.address
            self.serving = elsewhere or None
            if time.monotonic() > until:
                raise SystemExit(f"no node serves: {reason}")
            if not elsewhere:
                time.sleep(0.1)

    def stub(self, address):
        if self.connection is None or self.connection.address != address or not self.connection.is_ready():
            self.close()
            self.connection = Connection(address, self.credentials, self.server_name)
        return queue_pb2_grpc.QueueStub(self.connection.channel)

    def close(self):
        if self.connection:
            self.connection.channel.close()
            self.connection = None


class Connection:
    """A channel that has reached its node: what fails before that was certainly not done."""

    def __init__(self, address, credentials, server_name):
        self.address, self.states = address, queue.SimpleQueue()
        options = [("grpc.max_receive_message_length", -1)]
        if server_name:
            options.append(("grpc.ssl_target_name_override", server_name))
        if credentials:
            self.channel = grpc.secure_channel(address, credentials, options)
        else:
            self.channel = grpc.insecure_channel(address, options)
        self.state = None
        self.channel.subscribe(self.states.put, try_to_connect=True)
        with contextlib.suppress(queue.Empty):
            while self.state not in (grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE):
                self.state = self.states.get(timeout=3)
        if self.state is not grpc.ChannelConnectivity.READY:
            self.channel.close()
            raise Unreachable(f"cannot connect to {address}")

    def is_ready(self):
        while not self.states.empty():
            self.state = self.states.get()
        return self.state is grpc.ChannelConnectivity.READY


@contextlib.contextmanager
def losing():
    """gRPC's ways to say that a node is gone, as Lost."""
    try:
        yield
    except grpc.RpcError as error:
        if error.code() in LOST:
            raise Lost(error.details()) from None
        raise


# ---- single calls ----


class Producer:
    """Numbers its puts. A put that is made once more with its number is stored once."""

    def __init__(self, cluster):
        self.cluster, self.name, self.sequence = cluster, f"sample-{uuid.uuid4()}", 0

    def put(self, queue_name, body):
        self.sequence += 1
        request = queue_pb2.PutRequest(
            queue_manager=self.cluster.queue_manager,
            queue=queue_name,
            message=message_pb2.Message(
                mqmd=message_pb2.Descriptor(
                    format="MQSTR", persistence=message_pb2.PERSISTENCE_PERSISTENT),
                body=body),
            producer_sequence=queue_pb2.ProducerSequence(producer=self.name, sequence=self.sequence))
        while True:
            try:
                with losing():
                    answer = self.cluster.call(lambda stub: stub.Put(request, timeout=10))
                expect(answer.outcome)
                return answer.message_id
            except Lost:
                request.producer_sequence.repeated = True


def get(cluster, queue_name, wait_ms=0):
    """The next message, or None. It is gone when the answer leaves: where none may be lost, see `move`."""
    request = queue_pb2.GetRequest(
        queue_manager=cluster.queue_manager, queue=queue_name, wait_ms=wait_ms, max_length=100 << 20)
    with losing():
        answer = cluster.call(lambda stub: stub.Get(request))
    if answer.outcome.reason == NO_MESSAGE:
        return None
    expect(answer.outcome)
    return answer.message


def browse(cluster, queue_name):
    """All messages, from the front. The last answer has the reason why there are no more."""
    request = queue_pb2.BrowseRequest(queue_manager=cluster.queue_manager, queue=queue_name)
    answers = None

    def begin(stub):
        nonlocal answers
        answers = stub.Browse(request)
        return next(answers)

    with losing():
        answer = cluster.call(begin)
        while answer.outcome.reason != NO_MESSAGE:
            expect(answer.outcome)
            yield answer.message
            answer = next(answers)


# ---- units of work, over a session ----


class Session:
    """A stream: calls with tokens go out, completions with the same tokens come back. One unit of work at a time."""

    def __init__(self, cluster):
        self.cluster, self.calls, self.token, self.units_decided = cluster, None, 0, 0
        self.connected = cluster.call(self.connect)
        expect(self.connected.outcome)

    def connect(self, stub):
        self.calls = queue.SimpleQueue()
        self.answers = stub.Session(iter(self.calls.get, None))
        connect = queue_pb2.Connect(queue_manager=self.cluster.queue_manager, application_name="sample")
        return self.call(connect=connect)

    def call(self, **call):
        """Sends one call and waits for its completion. (Any number may be on its way; a sample needs one.)"""
        self.token += 1
        with losing():
            self.calls.put(queue_pb2.SessionRequest(calls=[queue_pb2.Call(token=self.token, **call)]))
            for response in self.answers:
                self.units_decided = response.units_decided or self.units_decided
                for completion in response.completions:
                    # Token 0: the queue manager ends the session.
                    if completion.token in (self.token, 0):
                        return completion
        raise Lost("the session has ended")

    def do(self, **call):
        completion = self.call(**call)
        if completion.outcome.reason in (*MOVED, BACKED_OUT, CALL_INTERRUPTED):
            raise Lost(completion.outcome.text)
        expect(completion.outcome)
        return completion

    def close(self):
        self.calls.put(None)


def move(cluster, source, target):
    """All messages of one queue to another, each exactly once, whatever happens to the nodes meanwhile."""
    moved = 0
    session = None
    while True:
        unit = uuid.uuid4().bytes
        committing = False
        try:
            if session is None:
                session = Session(cluster)
                session.do(open=queue_pb2.Open(handle=1, queue=source, input=True))
                session.do(open=queue_pb2.Open(handle=2, queue=target, output=True))
            got = session.do(get=queue_pb2.Get(handle=1, syncpoint=True, max_length=1 << 20)).got
            session.do(put=queue_pb2.Put(handle=2, syncpoint=True, message=got.message))
            decided = session.units_decided
            committing = True
            session.do(commit=queue_pb2.Commit(unit_id=unit, units_decided=decided))
            moved += 1
        except Refused as refused:
            if refused.reason != NO_MESSAGE:
                raise
            session.close()
            return moved
        except Lost:
            # The unit went with the node, and is begun again; unless its commit was sent: then it is asked for.
            session = None
            if committing and was_committed(cluster, unit, decided):
                moved += 1


def was_committed(cluster, unit, decided):
    while True:
        try:
            session = Session(cluster)
            asked = queue_pb2.UnitOutcome(unit_id=unit, units_decided=decided)
            state = session.do(unit_outcome=asked).unit.state
            session.close()
        except Lost:
            continue
        if state == queue_pb2.UnitStatus.STATE_FORGOTTEN:
            raise SystemExit(f"nobody knows any more whether unit {unit.hex()} was committed: look before it is done again")
        return state == queue_pb2.UnitStatus.STATE_COMMITTED


# ---- the command ----


def main():
    parser = argparse.ArgumentParser(description="Messages of a Trimaran cluster, from Python")
    parser.add_argument("--connect", default="127.0.0.1:7201,127.0.0.1:7202,127.0.0.1:7203", metavar="HOST:PORT,...")
    parser.add_argument("--queue-manager", default="", metavar="NAME")
    parser.add_argument("--tls-ca", metavar="FILE", help="turns TLS on")
    parser.add_argument("--tls-cert", metavar="FILE")
    parser.add_argument("--tls-key", metavar="FILE")
    parser.add_argument("--tls-name", metavar="NAME", help="in the nodes' certificates, where it is not the host")
    parser.add_argument("verb", choices=["put", "browse", "get", "move"])
    parser.add_argument("queues", nargs="+", metavar="QUEUE")
    given = parser.parse_args()
    if len(given.queues) != (2 if given.verb == "move" else 1):
        parser.error(f"{given.verb} takes {'two queues' if given.verb == 'move' else 'one queue'}")

    def pem(file):
        if file is None:
            return None
        with open(file, "rb") as opened:
            return opened.read()

    credentials = None
    if given.tls_ca:
        credentials = grpc.ssl_channel_credentials(pem(given.tls_ca), pem(given.tls_key), pem(given.tls_cert))
    cluster = Cluster(given.connect.split(","), credentials, given.tls_name, given.queue_manager)
    try:
        if given.verb == "put":
            producer = Producer(cluster)
            for line in sys.stdin.buffer:
                producer.put(given.queues[0], line.rstrip(b"\n"))
            print(f"put {producer.sequence}")
        elif given.verb == "browse":
            for message in browse(cluster, given.queues[0]):
                print(message.body.decode())
        elif given.verb == "get":
            message = get(cluster, given.queues[0])
            if message is None:
                sys.exit(3)
            print(message.body.decode())
        else:
            print(f"moved {move(cluster, *given.queues)}")
    except Refused as refused:
        sys.exit(f"refused: {refused}")
    except Lost as lost:
        sys.exit(f"the node that served is gone, nobody can say whether the call was made: {lost}")
    finally:
        cluster.close()


if __name__ == "__main__":
    main()
