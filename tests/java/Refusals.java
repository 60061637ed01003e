// A program over IBM MQ classes for Java and for JMS that is told that there is no message, in many ways. Prints what it was told,
// one line a step; a test compares the lines. Arguments: port, queue manager, queue, channel; and "listeners" for those, too.

import com.ibm.mq.MQException;
import com.ibm.mq.MQGetMessageOptions;
import com.ibm.mq.MQMessage;
import com.ibm.mq.MQPutMessageOptions;
import com.ibm.mq.MQQueue;
import com.ibm.mq.MQQueueManager;
import com.ibm.mq.constants.CMQC;
import com.ibm.msg.client.jms.JmsConnectionFactory;
import com.ibm.msg.client.jms.JmsFactoryFactory;
import com.ibm.msg.client.wmq.WMQConstants;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Hashtable;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import javax.jms.Connection;
import javax.jms.Message;
import javax.jms.Session;
import javax.jms.TextMessage;

public class Refusals {
    static MQQueue queue;

    public static void main(String[] arguments) throws Exception {
        Hashtable<String, Object> properties = new Hashtable<>();
        properties.put(CMQC.TRANSPORT_PROPERTY, CMQC.TRANSPORT_MQSERIES_CLIENT);
        properties.put(CMQC.HOST_NAME_PROPERTY, "127.0.0.1");
        properties.put(CMQC.PORT_PROPERTY, Integer.parseInt(arguments[0]));
        properties.put(CMQC.CHANNEL_PROPERTY, arguments[3]);
        MQQueueManager manager = new MQQueueManager(arguments[1], properties);
        queue = manager.accessQueue(arguments[2], CMQC.MQOO_INPUT_SHARED | CMQC.MQOO_OUTPUT | CMQC.MQOO_SET);

        // Who ends the wait first is chance: the client itself, or the queue manager.
        List<String> told = new ArrayList<>();
        for (int times = 0; times < 20; times++) {
            told.add(getOfOrder(100, "order 7"));
        }
        System.out.println("nothing " + (told.stream().distinct().count() == 1 ? told.get(0) : told));
        queue.setInhibitGet(CMQC.MQQA_GET_INHIBITED);
        System.out.println("inhibited " + getOfOrder(100, "order 7") + ", at once " + getOfOrder(0, "order 7"));
        queue.setInhibitGet(CMQC.MQQA_GET_ALLOWED);
        put("another", 0, "order 1");
        put("mine", 0, "order 7");
        System.out.println("too long " + tooLong("order 7") + ", left " + getOfOrder(100, "order 1"));

        for (int version = 1; version <= 2; version++) {
            MQQueue ahead = manager.accessQueue(arguments[2], CMQC.MQOO_INPUT_SHARED | CMQC.MQOO_READ_AHEAD);
            for (int number = 0; number < 12; number++) {
                put("m" + number, number % 4 == 3 ? CMQC.MQPER_PERSISTENT : CMQC.MQPER_NOT_PERSISTENT, "");
            }
            List<String> got = new ArrayList<>();
            for (int number = 0; number < 12; number++) {
                got.add(getAhead(ahead, version));
            }
            System.out.println("read ahead with version " + version + " " + got + ", then " + getAhead(ahead, version));
            ahead.close();
        }

        if (arguments.length > 4) {
            listens(arguments);
        }
        queue.close();
        manager.disconnect();
        System.out.println("done");
    }

    /// A queue that lets no gets in for a while gives its listener nothing, and goes on then.
    static void listens(String[] arguments) throws Exception {
        JmsConnectionFactory factory =
                JmsFactoryFactory.getInstance(WMQConstants.WMQ_PROVIDER).createConnectionFactory();
        factory.setIntProperty(WMQConstants.WMQ_CONNECTION_MODE, WMQConstants.WMQ_CM_CLIENT);
        factory.setStringProperty(WMQConstants.WMQ_CONNECTION_NAME_LIST, "127.0.0.1(" + arguments[0] + ")");
        factory.setStringProperty(WMQConstants.WMQ_CHANNEL, arguments[3]);
        factory.setStringProperty(WMQConstants.WMQ_QUEUE_MANAGER, arguments[1]);
        for (String option : new String[] {"", "?readAheadAllowed=1"}) {
            Connection connection = factory.createConnection();
            Session session = connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
            BlockingQueue<Message> heard = new LinkedBlockingQueue<>();
            session.createConsumer(session.createQueue("queue:///" + arguments[2] + option)).setMessageListener(heard::add);
            connection.start();
            put("before", 0, "");
            String before = text(heard.poll(10, TimeUnit.SECONDS));
            queue.setInhibitGet(CMQC.MQQA_GET_INHIBITED);
            String inhibited = text(heard.poll(2500, TimeUnit.MILLISECONDS));
            queue.setInhibitGet(CMQC.MQQA_GET_ALLOWED);
            put("after", 0, "");
            String after = text(heard.poll(10, TimeUnit.SECONDS));
            connection.close();
            System.out.println("listener " + before + ", inhibited " + inhibited + ", " + after + ", more " + heard.size());
        }
    }

    static String text(Message message) throws Exception {
        return message instanceof TextMessage ? ((TextMessage) message).getText() : String.valueOf(message);
    }

    static void put(String text, int persistence, String order) throws Exception {
        MQMessage message = new MQMessage();
        message.format = CMQC.MQFMT_STRING;
        message.persistence = persistence;
        message.correlationId = Arrays.copyOf(order.getBytes(), 24);
        message.writeString(text);
        queue.put(message, new MQPutMessageOptions());
    }

    /// The text, or the completion code, the reason, and the correlation id that the program's MQMD has then.
    static String getOfOrder(int wait, String order) throws Exception {
        MQMessage message = new MQMessage();
        message.correlationId = Arrays.copyOf(order.getBytes(), 24);
        try {
            queue.get(message, waiting(wait));
            return message.readStringOfByteLength(message.getDataLength());
        } catch (MQException refused) {
            return refused.completionCode + " " + refused.reasonCode + " " + new String(message.correlationId).trim();
        }
    }

    /// Asks with no room for it, and then once more with the same MQMD.
    static String tooLong(String order) throws Exception {
        MQMessage message = new MQMessage();
        message.correlationId = Arrays.copyOf(order.getBytes(), 24);
        String refusal = "";
        try {
            queue.get(message, waiting(100), 1);
        } catch (MQException refused) {
            refusal = refused.completionCode + " " + refused.reasonCode;
        }
        queue.get(message, waiting(100));
        return refusal + ", then " + message.readStringOfByteLength(message.getDataLength());
    }

    static String getAhead(MQQueue ahead, int version) throws Exception {
        MQMessage message = new MQMessage();
        message.setVersion(version);
        try {
            ahead.get(message, waiting(3000));
            return message.readStringOfByteLength(message.getDataLength());
        } catch (MQException refused) {
            return refused.completionCode + " " + refused.reasonCode;
        }
    }

    static MQGetMessageOptions waiting(int milliseconds) {
        MQGetMessageOptions how = new MQGetMessageOptions();
        how.options = CMQC.MQGMO_NO_SYNCPOINT | (milliseconds > 0 ? CMQC.MQGMO_WAIT : 0);
        how.waitInterval = milliseconds;
        return how;
    }
}
