// Connects again and again with IBM MQ classes for Java, each time on a socket of its own, and puts and gets a message in between.
// Arguments: port, queue manager, queue, number of connects. Prints how many went well, and the reasons of the others.

import com.ibm.mq.MQException;
import com.ibm.mq.MQGetMessageOptions;
import com.ibm.mq.MQMessage;
import com.ibm.mq.MQQueue;
import com.ibm.mq.MQQueueManager;
import com.ibm.mq.constants.CMQC;
import java.util.Hashtable;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

public class Churn {
    public static void main(String[] arguments) throws Exception {
        Hashtable<String, Object> properties = new Hashtable<>();
        properties.put(CMQC.HOST_NAME_PROPERTY, "127.0.0.1");
        properties.put(CMQC.PORT_PROPERTY, Integer.parseInt(arguments[0]));
        properties.put(CMQC.CHANNEL_PROPERTY, "APP.SVRCONN");
        properties.put(CMQC.TRANSPORT_PROPERTY, CMQC.TRANSPORT_MQSERIES_CLIENT);
        properties.put(CMQC.CONNECT_OPTIONS_PROPERTY, CMQC.MQCNO_NO_CONV_SHARING);
        AtomicInteger well = new AtomicInteger();
        Map<Integer, Integer> refused = new TreeMap<>();
        ExecutorService threads = Executors.newFixedThreadPool(4);
        int count = Integer.parseInt(arguments[3]);
        for (int number = 0; number < count; number++) {
            String text = "churn " + number;
            threads.execute(() -> {
                try {
                    if (exchange(properties, arguments[1], arguments[2], text).startsWith("churn ")) {
                        well.incrementAndGet();
                    }
                } catch (Exception error) {
                    int reason = error instanceof MQException ? ((MQException) error).reasonCode : -1;
                    synchronized (refused) {
                        refused.merge(reason, 1, Integer::sum);
                    }
                }
            });
        }
        threads.shutdown();
        boolean isOver = threads.awaitTermination(5, TimeUnit.MINUTES);
        if (!isOver) {
            Thread.getAllStackTraces().forEach((thread, at) -> System.err.println(thread + " " + List.of(at)));
        }
        System.out.println(well + " of " + count + " went well, refused " + refused + (isOver ? "" : ", and it is not over"));
        System.exit(isOver ? 0 : 1);
    }

    /// Some message: not always its own, since others get from the queue, too.
    static String exchange(Hashtable<String, Object> properties, String name, String queueName, String text) throws Exception {
        MQQueueManager manager = new MQQueueManager(name, properties);
        MQQueue queue = manager.accessQueue(queueName, CMQC.MQOO_INPUT_SHARED | CMQC.MQOO_OUTPUT);
        MQMessage put = new MQMessage();
        put.writeString(text);
        queue.put(put);
        MQMessage got = new MQMessage();
        MQGetMessageOptions options = new MQGetMessageOptions();
        options.options = CMQC.MQGMO_WAIT | CMQC.MQGMO_NO_SYNCPOINT;
        options.waitInterval = 10_000;
        queue.get(got, options);
        queue.close();
        manager.disconnect();
        return got.readStringOfByteLength(got.getDataLength());
    }
}
