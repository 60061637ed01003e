// A program over IBM MQ classes for Java. Prints what it did, one line a step; a test compares the lines.
// Arguments: port, queue manager, queue.

import com.ibm.mq.MQException;
import com.ibm.mq.MQGetMessageOptions;
import com.ibm.mq.MQMessage;
import com.ibm.mq.MQPutMessageOptions;
import com.ibm.mq.MQQueue;
import com.ibm.mq.MQQueueManager;
import com.ibm.mq.constants.CMQC;
import java.util.Arrays;
import java.util.Hashtable;

public class BaseClasses {
    static MQQueue queue;

    public static void main(String[] arguments) throws Exception {
        int port = Integer.parseInt(arguments[0]);
        String name = arguments[1];
        MQQueueManager manager = connect(port, name, "APP.SVRCONN");
        System.out.println("connected to " + manager.getName().trim() + ", level " + manager.getCommandLevel());
        int options = CMQC.MQOO_INPUT_SHARED | CMQC.MQOO_OUTPUT | CMQC.MQOO_BROWSE | CMQC.MQOO_INQUIRE | CMQC.MQOO_SET;
        queue = manager.accessQueue(arguments[2], options);
        System.out.println("depth " + queue.getCurrentDepth() + " of " + queue.getMaximumDepth());

        put("Hello", 0);
        put("This", 0);
        System.out.println("browse " + get(CMQC.MQGMO_BROWSE_FIRST) + " " + get(CMQC.MQGMO_BROWSE_NEXT));
        System.out.println("browse on " + get(CMQC.MQGMO_BROWSE_NEXT));
        System.out.println("browse again " + get(CMQC.MQGMO_BROWSE_FIRST) + " " + get(CMQC.MQGMO_BROWSE_MSG_UNDER_CURSOR));
        System.out.println("under cursor " + get(CMQC.MQGMO_MSG_UNDER_CURSOR) + ", again " + get(CMQC.MQGMO_MSG_UNDER_CURSOR));
        System.out.println("rest " + get(0) + ", then " + get(0));

        long before = System.nanoTime();
        String waited = get(CMQC.MQGMO_WAIT);
        long took = (System.nanoTime() - before) / 1_000_000;
        System.out.println("wait " + waited + (took >= 490 && took < 5000 ? " in time" : " after " + took + " ms"));

        put("backed out", CMQC.MQPMO_SYNCPOINT);
        manager.backout();
        put("committed", CMQC.MQPMO_SYNCPOINT);
        manager.commit();
        System.out.println("unit " + get(CMQC.MQGMO_SYNCPOINT));
        manager.backout();
        MQMessage again = new MQMessage();
        queue.get(again, new MQGetMessageOptions());
        System.out.println("backed out " + again.backoutCount + " times");

        MQMessage asked = new MQMessage();
        asked.correlationId = Arrays.copyOf("order 7".getBytes(), 24);
        asked.messageId = CMQC.MQMI_NONE;
        put("another", 0);
        MQMessage mine = new MQMessage();
        mine.correlationId = asked.correlationId;
        mine.writeString("mine");
        queue.put(mine, new MQPutMessageOptions());
        queue.get(asked, new MQGetMessageOptions());
        System.out.println("by correlation " + asked.readStringOfByteLength(asked.getDataLength()) + ", then " + get(0));

        for (int length : new int[] {100_000, 1_000_000, 20_000_000}) {
            byte[] body = new byte[length];
            body[length - 1] = 7;
            MQMessage large = new MQMessage();
            large.write(body);
            queue.put(large);
            MQMessage got = new MQMessage();
            queue.get(got, new MQGetMessageOptions());
            byte[] found = new byte[got.getDataLength()];
            got.readFully(found);
            System.out.println(length + " bytes " + (Arrays.equals(body, found) ? "whole" : "damaged"));
        }

        put("Hello", 0);
        System.out.println("too long " + getUpTo(0, 0) + ", " + getUpTo(3, 0));
        System.out.println("cut off " + getUpTo(3, CMQC.MQGMO_ACCEPT_TRUNCATED_MSG) + ", then " + get(0));

        queue.setInhibitGet(CMQC.MQQA_GET_INHIBITED);
        System.out.println("inhibited " + get(0) + ", " + queue.getInhibitGet());
        queue.setInhibitGet(CMQC.MQQA_GET_ALLOWED);
        System.out.println("no such queue " + reason(() -> manager.accessQueue("NO.SUCH.QUEUE", CMQC.MQOO_OUTPUT)));
        System.out.println("no such queue manager " + reason(() -> connect(port, "OTHER", "APP.SVRCONN")));
        System.out.println("no such channel " + reason(() -> connect(port, name, "NO.SUCH.CHANNEL")));
        System.out.println("full channel " + reason(() -> connect(port, name, "FULL.SVRCONN")));
        queue.close();
        manager.disconnect();
        System.out.println("done");
    }

    static MQQueueManager connect(int port, String name, String channel) throws MQException {
        Hashtable<String, Object> properties = new Hashtable<>();
        properties.put(CMQC.TRANSPORT_PROPERTY, CMQC.TRANSPORT_MQSERIES_CLIENT);
        properties.put(CMQC.HOST_NAME_PROPERTY, "127.0.0.1");
        properties.put(CMQC.PORT_PROPERTY, port);
        properties.put(CMQC.CHANNEL_PROPERTY, channel);
        return new MQQueueManager(name, properties);
    }

    static void put(String text, int options) throws Exception {
        MQMessage message = new MQMessage();
        message.format = CMQC.MQFMT_STRING;
        message.writeString(text);
        MQPutMessageOptions how = new MQPutMessageOptions();
        how.options = options;
        queue.put(message, how);
    }

    /// The text of a message, or the reason why there is none.
    static String get(int options) throws Exception {
        MQGetMessageOptions how = new MQGetMessageOptions();
        how.options = options;
        how.waitInterval = 500;
        MQMessage message = new MQMessage();
        try {
            queue.get(message, how);
            return message.readStringOfByteLength(message.getDataLength());
        } catch (MQException refused) {
            return String.valueOf(refused.getReason());
        }
    }

    /// With room for so many bytes: what there is of a message, how long it is, and the reason.
    static String getUpTo(int bytes, int options) throws Exception {
        MQGetMessageOptions how = new MQGetMessageOptions();
        how.options = options;
        MQMessage message = new MQMessage();
        int reason = reason(() -> {
            queue.get(message, how, bytes);
            return null;
        });
        String text = reason == CMQC.MQRC_TRUNCATED_MSG_ACCEPTED ? message.readStringOfByteLength(bytes) + " " : "";
        return text + "of " + message.getTotalMessageLength() + ": " + reason;
    }

    interface Call {
        Object call() throws MQException;
    }

    static int reason(Call call) {
        try {
            call.call();
            return 0;
        } catch (MQException refused) {
            return refused.getReason();
        }
    }
}
