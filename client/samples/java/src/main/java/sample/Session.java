package sample;

import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.StreamObserver;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import trimaran.queue.v1.Call;
import trimaran.queue.v1.Commit;
import trimaran.queue.v1.Completion;
import trimaran.queue.v1.Connect;
import trimaran.queue.v1.QueueGrpc;
import trimaran.queue.v1.SessionRequest;
import trimaran.queue.v1.SessionResponse;

/** A stream: calls with tokens go out, completions with the same tokens come back. One unit of work at a time. */
final class Session implements AutoCloseable {
    /** A completion, or why there will be none any more. */
    private record Heard(Completion completion, Throwable end) {}

    private final BlockingQueue<Heard> heard = new LinkedBlockingQueue<>();
    private final StreamObserver<SessionRequest> calls;
    private long token;
    private volatile long unitsDecided;
    /** Set once a commit is sent: what `unitsDecided` was then. */
    Long committing;

    private Session(ManagedChannel channel) {
        calls = QueueGrpc.newStub(channel).session(new StreamObserver<>() {
            @Override
            public void onNext(SessionResponse response) {
                unitsDecided = Math.max(unitsDecided, response.getUnitsDecided());
                response.getCompletionsList().forEach(completion -> heard.add(new Heard(completion, null)));
            }

            @Override
            public void onError(Throwable error) {
                heard.add(new Heard(null, error));
            }

            @Override
            public void onCompleted() {
                heard.add(new Heard(null, Status.UNAVAILABLE.withDescription("the session has ended").asRuntimeException()));
            }
        });
    }

    static Session connect(Cluster cluster) throws Cluster.Refused, Cluster.Lost, InterruptedException {
        Connect connect = Connect.newBuilder().setQueueManager(cluster.queueManager).setApplicationName("sample").build();
        return cluster.call(channel -> {
            Session session = new Session(channel);
            Completion completion = session.complete(Call.newBuilder().setConnect(connect));
            return new Cluster.Answer<>(session, completion.getOutcome(), completion.getServing());
        });
    }

    /** Sends one call and waits for its completion. (Any number may be on its way; a sample needs one.) */
    private Completion complete(Call.Builder call) throws Cluster.Lost {
        token++;
        calls.onNext(SessionRequest.newBuilder().addCalls(call.setToken(token)).build());
        try {
            while (true) {
                Heard next = heard.take();
                if (next.end() != null) {
                    throw Cluster.lost((StatusRuntimeException) next.end());
                }
                // Token 0: the queue manager ends the session.
                long answered = next.completion().getToken();
                if (answered == token || answered == 0) {
                    return next.completion();
                }
            }
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            throw new Cluster.Lost("interrupted");
        }
    }

    Completion call(Call.Builder call) throws Cluster.Refused, Cluster.Lost {
        Completion completion = complete(call);
        int reason = completion.getOutcome().getReason();
        if (reason == Cluster.BACKED_OUT || reason == Cluster.CALL_INTERRUPTED || Cluster.MOVED.contains(reason)) {
            throw new Cluster.Lost(completion.getOutcome().getText());
        }
        Cluster.expect(completion.getOutcome());
        return completion;
    }

    void commit(com.google.protobuf.ByteString unit) throws Cluster.Refused, Cluster.Lost {
        committing = unitsDecided;
        call(Call.newBuilder().setCommit(Commit.newBuilder().setUnitId(unit).setUnitsDecided(committing)));
        committing = null;
    }

    @Override
    public void close() {
        try {
            calls.onCompleted();
        } catch (IllegalStateException ended) {
            // By the other side, already.
        }
    }
}
