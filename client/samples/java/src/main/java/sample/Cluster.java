package sample;

import io.grpc.ChannelCredentials;
import io.grpc.ConnectivityState;
import io.grpc.Grpc;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import trimaran.queue.v1.Outcome;
import trimaran.queue.v1.Serving;

/** Knows the node that serves the queue manager, or finds it. */
final class Cluster implements AutoCloseable {
    // Reason codes of MQ that decide what is done next.
    static final int BACKED_OUT = 2003;
    static final int NO_MESSAGE = 2033;
    static final int CALL_INTERRUPTED = 2549;
    /**
     * The node does not serve, or not any more, and has not done what it was asked: connection broken, nobody serves (an
     * election, most likely), quiescing, stopping, replica.
     */
    static final Set<Integer> MOVED = Set.of(2009, 2059, 2161, 2162, 2543);

    static final int LONGEST = 100 << 20;
    private static final Duration PATIENCE = Duration.ofSeconds(30);

    /** The queue manager said no: MQ's completion code and reason code, and what to do about it. */
    static final class Refused extends Exception {
        final int reason;

        Refused(Outcome outcome) {
            super("refused: completion code " + outcome.getCode() + ", reason " + outcome.getReason() + ": "
                    + outcome.getText());
            reason = outcome.getReason();
        }
    }

    /** The node that was asked is gone, and nobody can say whether it did what it was asked. */
    static final class Lost extends Exception {
        Lost(String why) {
            super("the node that served is gone, nobody can say whether the call was made: " + why);
        }
    }

    /** The node that was to be asked is not there, and was not asked. */
    static final class Unreachable extends Exception {
        Unreachable(String address) {
            super("cannot connect to " + address);
        }
    }

    /** What a node answers, and where in it the outcome is, and where to go instead. */
    record Answer<T>(T answer, Outcome outcome, Serving serving) {}

    /** A call that is made on the node that serves. */
    interface Call<T> {
        Answer<T> on(ManagedChannel channel) throws Lost;
    }

    final String queueManager;
    private final List<String> addresses;
    private final ChannelCredentials credentials;
    private final String serverName;
    private String serving = "";
    private String connected = "";
    private ManagedChannel channel;

    Cluster(List<String> addresses, ChannelCredentials credentials, String serverName, String queueManager) {
        this.addresses = addresses;
        this.credentials = credentials;
        this.serverName = serverName;
        this.queueManager = queueManager;
    }

    /**
     * What the call answers on the node that serves. It gives up only when nobody serves for too long. Lost passes: whether a
     * call may be made once more is for those to say who know what it does.
     */
    <T> T call(Call<T> call) throws Refused, Lost, InterruptedException {
        long begun = System.nanoTime();
        for (int number = 0;; number++) {
            String address = serving.isEmpty() ? addresses.get(number % addresses.size()) : serving;
            serving = "";
            String why;
            try {
                Answer<T> answer = losing(() -> call.on(channel(address)));
                int reason = answer.outcome().getReason();
                if (reason == CALL_INTERRUPTED) {
                    throw new Lost(answer.outcome().getText());
                }
                if (!MOVED.contains(reason)) {
                    serving = address;
                    expect(answer.outcome());
                    return answer.answer();
                }
                why = answer.outcome().getText();
                serving = answer.serving().getAddress();
            } catch (Unreachable unreachable) {
                why = unreachable.getMessage();
            }
            if (System.nanoTime() - begun > PATIENCE.toNanos()) {
                throw new IllegalStateException("no node serves: " + why);
            }
            if (serving.isEmpty()) {
                Thread.sleep(100);
            }
        }
    }

    static void expect(Outcome outcome) throws Refused {
        if (outcome.getCode() > 1) {
            throw new Refused(outcome);
        }
    }

    interface Work<T> {
        T work() throws Lost, Unreachable, InterruptedException;
    }

    /** gRPC's ways to say that a node stops, has died, or hangs, as Lost. */
    static <T> T losing(Work<T> work) throws Lost, Unreachable, InterruptedException {
        try {
            return work.work();
        } catch (StatusRuntimeException error) {
            throw lost(error);
        }
    }

    static Lost lost(StatusRuntimeException error) {
        Status status = error.getStatus();
        return switch (status.getCode()) {
            case UNAVAILABLE, CANCELLED, DEADLINE_EXCEEDED -> new Lost(status.toString());
            default -> throw error;
        };
    }

    /** Connected: what fails before that was certainly not done. */
    private ManagedChannel channel(String address) throws Unreachable, InterruptedException {
        if (channel != null && connected.equals(address) && channel.getState(false) == ConnectivityState.READY) {
            return channel;
        }
        close();
        ManagedChannelBuilder<?> builder = Grpc.newChannelBuilder(address, credentials).maxInboundMessageSize(LONGEST + (1 << 20));
        if (serverName != null) {
            builder.overrideAuthority(serverName);
        }
        channel = builder.build();
        connected = address;
        long until = System.nanoTime() + Duration.ofSeconds(3).toNanos();
        for (ConnectivityState state = channel.getState(true); state != ConnectivityState.READY; state = channel.getState(true)) {
            CountDownLatch changed = new CountDownLatch(1);
            channel.notifyWhenStateChanged(state, changed::countDown);
            if (state == ConnectivityState.TRANSIENT_FAILURE
                    || !changed.await(until - System.nanoTime(), TimeUnit.NANOSECONDS)) {
                throw new Unreachable(address);
            }
        }
        return channel;
    }

    @Override
    public void close() {
        if (channel != null) {
            channel.shutdownNow();
            channel = null;
        }
    }
}
