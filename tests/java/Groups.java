// Groups over IBM MQ classes for Java, and what becomes of asynchronous puts. Prints what it did, one line a step; a test
// compares the lines. Arguments: port, queue manager, queue, a queue that holds two messages.

import com.ibm.mq.MQAsyncStatus;
import com.ibm.mq.MQException;
import com.ibm.mq.MQGetMessageOptions;
import com.ibm.mq.MQMessage;
import com.ibm.mq.MQPutMessageOptions;
import com.ibm.mq.MQQueue;
import com.ibm.mq.MQQueueManager;
import com.ibm.mq.constants.CMQC;
import java.util.Arrays;

public class Groups {
    static final int IN_GROUP = CMQC.MQMF_MSG_IN_GROUP;
    static final int LAST = CMQC.MQMF_LAST_MSG_IN_GROUP;
    static final int LOGICAL = CMQC.MQGMO_LOGICAL_ORDER;
    static final int WHOLE = CMQC.MQGMO_LOGICAL_ORDER | CMQC.MQGMO_ALL_MSGS_AVAILABLE;

    public static void main(String[] arguments) throws Exception {
        int port = Integer.parseInt(arguments[0]);
        MQQueueManager one = BaseClasses.connect(port, arguments[1], "APP.SVRCONN");
        MQQueueManager other = BaseClasses.connect(port, arguments[1], "APP.SVRCONN");
        int puts = CMQC.MQOO_OUTPUT;
        int gets = CMQC.MQOO_INPUT_SHARED | CMQC.MQOO_BROWSE;
        MQQueue first = one.accessQueue(arguments[2], puts);
        MQQueue second = other.accessQueue(arguments[2], puts);
        MQQueue getter = one.accessQueue(arguments[2], gets);

        // Two producers, one after the other; whoever gets sees each group as a whole.
        MQMessage begun = put(first, "a1", IN_GROUP);
        put(second, "b1", IN_GROUP);
        System.out.println("whole " + get(getter, WHOLE));
        MQMessage next = put(first, "a2", IN_GROUP);
        put(second, "b2", LAST);
        put(first, "a3", LAST);
        boolean same = Arrays.equals(begun.groupId, next.groupId) && !Arrays.equals(begun.groupId, CMQC.MQGI_NONE);
        System.out.println((same ? "one id" : "other ids") + ", numbers " + begun.messageSequenceNumber + " " + next.messageSequenceNumber);
        System.out.println("browse " + get(getter, WHOLE | CMQC.MQGMO_BROWSE_FIRST) + ", " + get(getter, WHOLE | CMQC.MQGMO_BROWSE_NEXT)
                + ", " + get(getter, CMQC.MQGMO_BROWSE_NEXT));
        for (int message = 0; message < 6; message++) {
            System.out.println("whole " + get(getter, WHOLE));
        }

        // Ids and numbers of the program's own, in whatever order.
        byte[] own = Arrays.copyOf("own group".getBytes(), 24);
        for (int number : new int[] {3, 1, 2}) {
            putAs(second, own, number, number == 3 ? LAST : IN_GROUP);
            System.out.println("after " + number + ": " + get(getter, WHOLE | CMQC.MQGMO_BROWSE_FIRST));
        }
        MQMessage named = new MQMessage();
        named.groupId = own;
        named.messageSequenceNumber = 2;
        System.out.println("number " + get(getter, 0, named, CMQC.MQMO_MATCH_GROUP_ID | CMQC.MQMO_MATCH_MSG_SEQ_NUMBER));
        MQQueue rest = one.accessQueue(arguments[2], gets);
        System.out.println("lacks one " + get(rest, WHOLE));
        System.out.println("without asking " + get(rest, LOGICAL) + ", then " + get(rest, LOGICAL));
        System.out.println("closed " + closed(rest) + ", going on " + get(getter, WHOLE) + ", closed " + closed(getter));

        // A wait ends when the last message of a group has come.
        MQQueue waiting = one.accessQueue(arguments[2], gets);
        Thread late = new Thread(() -> {
            try {
                MQQueue queue = other.accessQueue(arguments[2], puts);
                put(queue, "late 1", IN_GROUP);
                Thread.sleep(300);
                put(queue, "late 2", LAST);
                queue.close();
            } catch (Exception error) {
                System.out.println(error);
            }
        });
        late.start();
        System.out.println("waited " + get(waiting, WHOLE | CMQC.MQGMO_WAIT) + ", " + get(waiting, WHOLE | CMQC.MQGMO_WAIT));
        late.join();

        // Units of work, and mistakes.
        putIn(first, "u1", IN_GROUP, CMQC.MQPMO_SYNCPOINT);
        System.out.println("outside " + reason(() -> put(first, "u2", LAST)));
        System.out.println("of none " + reason(() -> putIn(first, "u2", 0, CMQC.MQPMO_SYNCPOINT)));
        one.commit();
        putIn(first, "u2", LAST, CMQC.MQPMO_SYNCPOINT);
        one.commit();
        System.out.println("unit " + get(waiting, WHOLE | CMQC.MQGMO_SYNCPOINT));
        one.backout();
        System.out.println("again " + get(waiting, WHOLE | CMQC.MQGMO_SYNCPOINT) + ", " + get(waiting, WHOLE | CMQC.MQGMO_SYNCPOINT));
        one.commit();
        put(first, "never ended", IN_GROUP);
        System.out.println("closed " + closed(first) + ", got " + get(waiting, 0));
        MQQueue segments = one.accessQueue(arguments[2], puts);
        System.out.println("segments " + reason(() -> putAs(segments, null, 1, CMQC.MQMF_SEGMENTATION_ALLOWED)));

        asynchronous(one, arguments[3]);
        one.disconnect();
        other.disconnect();
        System.out.println("done");
    }

    /// Two of five puts have room, and nobody waits for them.
    static void asynchronous(MQQueueManager manager, String small) throws Exception {
        MQQueue queue = manager.accessQueue(small, CMQC.MQOO_OUTPUT);
        for (int message = 0; message < 5; message++) {
            MQPutMessageOptions how = new MQPutMessageOptions();
            how.options = CMQC.MQPMO_ASYNC_RESPONSE | CMQC.MQPMO_NO_SYNCPOINT;
            MQMessage quick = message("asynchronous " + message);
            // A persistent message outside of a unit of work is waited for.
            quick.persistence = CMQC.MQPER_NOT_PERSISTENT;
            queue.put(quick, how);
        }
        System.out.println("put " + said(manager.getAsyncStatus()));
        System.out.println("since " + said(manager.getAsyncStatus()));
        queue.close();
    }

    static String said(MQAsyncStatus status) {
        return status.putSuccessCount + " " + status.putWarningCount + " " + status.putFailureCount + ", " + status.completionCode + " "
                + status.reasonCode + " " + status.objectName.trim();
    }

    static MQMessage message(String text) throws Exception {
        MQMessage message = new MQMessage();
        message.format = CMQC.MQFMT_STRING;
        message.writeString(text);
        return message;
    }

    /// In logical order.
    static MQMessage put(MQQueue queue, String text, int flags) throws Exception {
        return putIn(queue, text, flags, CMQC.MQPMO_NO_SYNCPOINT);
    }

    static MQMessage putIn(MQQueue queue, String text, int flags, int options) throws Exception {
        MQMessage message = message(text);
        message.messageFlags = flags;
        MQPutMessageOptions how = new MQPutMessageOptions();
        how.options = CMQC.MQPMO_LOGICAL_ORDER | options;
        queue.put(message, how);
        return message;
    }

    static MQMessage putAs(MQQueue queue, byte[] group, int number, int flags) throws Exception {
        MQMessage message = message("own " + number);
        if (group != null) {
            message.groupId = group;
        }
        message.messageSequenceNumber = number;
        message.messageFlags = flags;
        queue.put(message, new MQPutMessageOptions());
        return message;
    }

    static String get(MQQueue queue, int options) throws Exception {
        return get(queue, options, new MQMessage(), CMQC.MQMO_NONE);
    }

    /// The text of a message with its number and status, or the reason why there is none.
    static String get(MQQueue queue, int options, MQMessage message, int match) throws Exception {
        MQGetMessageOptions how = new MQGetMessageOptions();
        how.options = options;
        how.matchOptions = match;
        how.waitInterval = 5000;
        try {
            queue.get(message, how);
            return message.readStringOfByteLength(message.getDataLength()) + " " + message.messageSequenceNumber + how.groupStatus;
        } catch (MQException refused) {
            return String.valueOf(refused.getReason());
        }
    }

    interface Call {
        Object call() throws Exception;
    }

    static int reason(Call call) throws Exception {
        try {
            call.call();
            return 0;
        } catch (MQException refused) {
            return refused.getReason();
        }
    }

    static int closed(MQQueue queue) throws Exception {
        return reason(() -> {
            queue.close();
            return null;
        });
    }
}
