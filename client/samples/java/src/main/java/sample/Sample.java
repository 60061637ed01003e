package sample;

import com.google.protobuf.ByteString;
import io.grpc.ChannelCredentials;
import io.grpc.InsecureChannelCredentials;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import trimaran.message.v1.Descriptor;
import trimaran.message.v1.Message;
import trimaran.message.v1.Persistence;
import trimaran.queue.v1.BrowseRequest;
import trimaran.queue.v1.BrowseResponse;
import trimaran.queue.v1.Call;
import trimaran.queue.v1.Get;
import trimaran.queue.v1.GetRequest;
import trimaran.queue.v1.GetResponse;
import trimaran.queue.v1.Open;
import trimaran.queue.v1.ProducerSequence;
import trimaran.queue.v1.Put;
import trimaran.queue.v1.PutRequest;
import trimaran.queue.v1.PutResponse;
import trimaran.queue.v1.QueueGrpc;
import trimaran.queue.v1.UnitOutcome;
import trimaran.queue.v1.UnitStatus;

/**
 * Puts, browses, gets and moves messages of a Trimaran cluster, over nothing but gRPC and the published protos.
 *
 * <pre>
 * java -jar target/sample.jar put HA.QUEUE &lt; lines        a message a line, each stored once
 * java -jar target/sample.jar browse HA.QUEUE
 * java -jar target/sample.jar get HA.QUEUE
 * java -jar target/sample.jar move HA.QUEUE OTHER.QUEUE   all messages, each in a unit of work
 * </pre>
 *
 * README.md, one folder up, says how it is built and what is to be seen.
 */
public final class Sample {
    private static final String USAGE = "[--connect HOST:PORT,...] [--queue-manager NAME] [--tls-ca FILE] "
            + "[--tls-cert FILE --tls-key FILE] [--tls-name NAME] put|browse|get QUEUE, or move QUEUE QUEUE";

    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    private Sample() {}

    public static void main(String[] arguments) throws Exception {
        Map<String, String> options = new HashMap<>();
        List<String> words = new ArrayList<>();
        for (Iterator<String> given = List.of(arguments).iterator(); given.hasNext();) {
            String word = given.next();
            if (word.startsWith("--") && given.hasNext()) {
                options.put(word, given.next());
            } else {
                words.add(word);
            }
        }
        String verb = words.isEmpty() ? "" : words.get(0);
        int wanted = switch (verb) {
            case "put", "browse", "get" -> 2;
            case "move" -> 3;
            default -> 0;
        };
        if (wanted == 0 || words.size() != wanted) {
            System.err.println(USAGE);
            System.exit(2);
        }
        String nodes = options.getOrDefault("--connect", "127.0.0.1:7201,127.0.0.1:7202,127.0.0.1:7203");
        int status = 0;
        try (Cluster cluster = new Cluster(List.of(nodes.split(",")), credentials(options), options.get("--tls-name"),
                options.getOrDefault("--queue-manager", ""))) {
            switch (verb) {
                case "put" -> OUT.println("put " + putLines(cluster, words.get(1)));
                case "browse" -> browse(cluster, words.get(1));
                case "get" -> OUT.println(get(cluster, words.get(1)).getBody().toStringUtf8());
                default -> OUT.println("moved " + move(cluster, words.get(1), words.get(2)));
            }
        } catch (Cluster.Refused refused) {
            status = 3;
            if (refused.reason != Cluster.NO_MESSAGE) {
                System.err.println(refused.getMessage());
                status = 1;
            }
        } catch (Cluster.Lost lost) {
            System.err.println(lost.getMessage());
            status = 1;
        }
        System.exit(status);
    }

    private static ChannelCredentials credentials(Map<String, String> options) throws IOException {
        if (!options.containsKey("--tls-ca")) {
            return InsecureChannelCredentials.create();
        }
        TlsChannelCredentials.Builder tls = TlsChannelCredentials.newBuilder().trustManager(new File(options.get("--tls-ca")));
        if (options.containsKey("--tls-cert")) {
            tls.keyManager(new File(options.get("--tls-cert")), new File(options.get("--tls-key")));
        }
        return tls.build();
    }

    // ---- single calls ----

    /** A producer numbers its puts. A put that is made once more with its number is stored once. */
    private static long putLines(Cluster cluster, String queue) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        String producer = "sample-" + UUID.randomUUID();
        long sequence = 0;
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            sequence++;
            put(cluster, queue, line, ProducerSequence.newBuilder().setProducer(producer).setSequence(sequence));
        }
        return sequence;
    }

    private static void put(Cluster cluster, String queue, String body, ProducerSequence.Builder sequence) throws Exception {
        Descriptor descriptor = Descriptor.newBuilder()
                .setFormat("MQSTR")
                .setPersistence(Persistence.PERSISTENCE_PERSISTENT)
                .build();
        PutRequest.Builder request = PutRequest.newBuilder()
                .setQueueManager(cluster.queueManager)
                .setQueue(queue)
                .setMessage(Message.newBuilder().setMqmd(descriptor).setBody(ByteString.copyFromUtf8(body)));
        while (true) {
            PutRequest attempt = request.setProducerSequence(sequence).build();
            try {
                cluster.call(channel -> {
                    PutResponse answer =
                            QueueGrpc.newBlockingStub(channel).withDeadlineAfter(10, TimeUnit.SECONDS).put(attempt);
                    return new Cluster.Answer<>(answer, answer.getOutcome(), answer.getServing());
                });
                return;
            } catch (Cluster.Lost lost) {
                sequence.setRepeated(true);
            }
        }
    }

    /** The next message, or reason 2033. It is gone when the answer leaves: where none may be lost, see {@link #move}. */
    private static Message get(Cluster cluster, String queue) throws Exception {
        GetRequest request = GetRequest.newBuilder()
                .setQueueManager(cluster.queueManager)
                .setQueue(queue)
                .setMaxLength(Cluster.LONGEST)
                .build();
        GetResponse got = cluster.call(channel -> {
            GetResponse answer = QueueGrpc.newBlockingStub(channel).get(request);
            return new Cluster.Answer<>(answer, answer.getOutcome(), answer.getServing());
        });
        return got.getMessage();
    }

    /** All messages, from the front. The last answer of the stream has the reason why there are no more. */
    private static void browse(Cluster cluster, String queue) throws Exception {
        BrowseRequest request =
                BrowseRequest.newBuilder().setQueueManager(cluster.queueManager).setQueue(queue).build();
        record Begun(BrowseResponse first, Iterator<BrowseResponse> rest) {}
        try {
            Begun begun = cluster.call(channel -> {
                Iterator<BrowseResponse> answers = QueueGrpc.newBlockingStub(channel).browse(request);
                BrowseResponse first = answers.next();
                return new Cluster.Answer<>(new Begun(first, answers), first.getOutcome(), first.getServing());
            });
            for (BrowseResponse answer = begun.first();; answer = begun.rest().next()) {
                Cluster.expect(answer.getOutcome());
                OUT.println(answer.getMessage().getBody().toStringUtf8());
            }
        } catch (StatusRuntimeException error) {
            throw Cluster.lost(error);
        } catch (Cluster.Refused refused) {
            if (refused.reason != Cluster.NO_MESSAGE) {
                throw refused;
            }
        }
    }

    // ---- units of work, over a session ----

    /** All messages of one queue to another, each exactly once, whatever happens to the nodes meanwhile. */
    private static int move(Cluster cluster, String source, String target) throws Exception {
        int moved = 0;
        Session session = null;
        while (true) {
            ByteString unit = newId();
            try {
                if (session == null) {
                    session = Session.connect(cluster);
                    Open from = Open.newBuilder().setHandle(1).setQueue(source).setInput(true).build();
                    Open to = Open.newBuilder().setHandle(2).setQueue(target).setOutput(true).build();
                    session.call(Call.newBuilder().setOpen(from));
                    session.call(Call.newBuilder().setOpen(to));
                }
                Get get = Get.newBuilder().setHandle(1).setSyncpoint(true).setMaxLength(1 << 20).build();
                Message message = session.call(Call.newBuilder().setGet(get)).getGot().getMessage();
                Put put = Put.newBuilder().setHandle(2).setSyncpoint(true).setMessage(message).build();
                session.call(Call.newBuilder().setPut(put));
                session.commit(unit);
                moved++;
            } catch (Cluster.Refused refused) {
                if (refused.reason != Cluster.NO_MESSAGE) {
                    throw refused;
                }
                session.close();
                return moved;
            } catch (Cluster.Lost lost) {
                // The unit went with the node, and is begun again; unless its commit was sent: then it is asked for.
                Long committing = session == null ? null : session.committing;
                session = null;
                if (committing != null && wasCommitted(cluster, unit, committing)) {
                    moved++;
                }
            }
        }
    }

    private static boolean wasCommitted(Cluster cluster, ByteString unit, long decided) throws Exception {
        UnitOutcome asked = UnitOutcome.newBuilder().setUnitId(unit).setUnitsDecided(decided).build();
        while (true) {
            try (Session session = Session.connect(cluster)) {
                UnitStatus.State state = session.call(Call.newBuilder().setUnitOutcome(asked)).getUnit().getState();
                if (state == UnitStatus.State.STATE_FORGOTTEN) {
                    throw new IllegalStateException("nobody knows any more whether a unit was committed: look before it is done again");
                }
                return state == UnitStatus.State.STATE_COMMITTED;
            } catch (Cluster.Lost lost) {
                // Ask the next one that serves.
            }
        }
    }

    private static ByteString newId() {
        UUID id = UUID.randomUUID();
        ByteBuffer bytes = ByteBuffer.allocate(16).putLong(id.getMostSignificantBits()).putLong(id.getLeastSignificantBits());
        return ByteString.copyFrom(bytes.flip());
    }
}
