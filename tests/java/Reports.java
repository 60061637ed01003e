// Reports over IBM MQ classes for Java and for JMS. Prints what it did, one line a step; a test compares the lines.
// Arguments: port, queue manager, queue, a queue whose messages may be backed out once, a queue for reports.

import com.ibm.mq.MQException;
import com.ibm.mq.MQGetMessageOptions;
import com.ibm.mq.MQMessage;
import com.ibm.mq.MQPutMessageOptions;
import com.ibm.mq.MQQueue;
import com.ibm.mq.MQQueueManager;
import com.ibm.mq.constants.CMQC;
import com.ibm.msg.client.jms.JmsConnectionFactory;
import com.ibm.msg.client.jms.JmsConstants;
import com.ibm.msg.client.jms.JmsFactoryFactory;
import com.ibm.msg.client.wmq.WMQConstants;
import java.util.Arrays;
import java.util.Hashtable;
import javax.jms.Connection;
import javax.jms.DeliveryMode;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.Session;
import javax.jms.TextMessage;

public class Reports {
    static final String TEXT = "report ".repeat(30);
    static MQQueueManager manager;
    static MQQueue queue;
    static MQQueue poison;
    static MQQueue answers;

    public static void main(String[] arguments) throws Exception {
        Hashtable<String, Object> properties = new Hashtable<>();
        properties.put(CMQC.TRANSPORT_PROPERTY, CMQC.TRANSPORT_MQSERIES_CLIENT);
        properties.put(CMQC.HOST_NAME_PROPERTY, "127.0.0.1");
        properties.put(CMQC.PORT_PROPERTY, Integer.parseInt(arguments[0]));
        properties.put(CMQC.CHANNEL_PROPERTY, "APP.SVRCONN");
        manager = new MQQueueManager(arguments[1], properties);
        int options = CMQC.MQOO_INPUT_SHARED | CMQC.MQOO_OUTPUT | CMQC.MQOO_BROWSE;
        queue = manager.accessQueue(arguments[2], options);
        poison = manager.accessQueue(arguments[3], options);
        answers = manager.accessQueue(arguments[4], CMQC.MQOO_INPUT_SHARED);

        arrivals();
        deliveries();
        others();
        refusals();
        manager.disconnect();
        overJms(arguments);
        System.out.println("done");
    }

    static void arrivals() throws Exception {
        MQMessage put = put(queue, CMQC.MQRO_COA, 0);
        System.out.println("arrival " + report(put));
        put = put(queue, CMQC.MQRO_COA_WITH_DATA | CMQC.MQRO_PASS_CORREL_ID, 0);
        System.out.println("with data " + report(put));
        put = put(queue, CMQC.MQRO_COA_WITH_FULL_DATA | CMQC.MQRO_PASS_MSG_ID, 0);
        System.out.println("with full data " + report(put));
        put = put(queue, CMQC.MQRO_COA, CMQC.MQPMO_SYNCPOINT);
        System.out.println("uncommitted " + report(put));
        manager.commit();
        System.out.println("committed " + report(put));
        put(queue, CMQC.MQRO_COA, CMQC.MQPMO_SYNCPOINT);
        manager.backout();
        for (int count = 0; count < 4; count++) {
            get(queue, 0);
        }
        System.out.println("backed out " + report(put));
    }

    static void deliveries() throws Exception {
        MQMessage put = put(queue, CMQC.MQRO_COD, 0);
        get(queue, CMQC.MQGMO_BROWSE_FIRST);
        System.out.println("browsed " + report(put));
        get(queue, 0);
        System.out.println("delivery " + report(put));
        put = put(queue, CMQC.MQRO_COD_WITH_DATA, 0);
        get(queue, 0);
        System.out.println("with data " + report(put));
        put = put(queue, CMQC.MQRO_COA | CMQC.MQRO_COD_WITH_FULL_DATA, 0);
        System.out.println("both " + report(put));
        get(queue, CMQC.MQGMO_SYNCPOINT);
        System.out.println("uncommitted " + report(put));
        manager.backout();
        System.out.println("backed out " + report(put));
        get(queue, CMQC.MQGMO_SYNCPOINT);
        manager.commit();
        System.out.println("committed " + report(put));
    }

    static void others() throws Exception {
        MQMessage put = message(CMQC.MQRO_EXPIRATION_WITH_DATA);
        put.expiry = 3;
        queue.put(put, new MQPutMessageOptions());
        System.out.println("expiration " + report(put, 10_000));
        put = put(poison, CMQC.MQRO_EXCEPTION_WITH_FULL_DATA, 0);
        get(poison, CMQC.MQGMO_SYNCPOINT);
        manager.backout();
        System.out.println("exception " + report(put, 10_000));
        put = put(poison, CMQC.MQRO_EXCEPTION | CMQC.MQRO_DISCARD_MSG, 0);
        get(poison, CMQC.MQGMO_SYNCPOINT);
        manager.backout();
        System.out.println("discarded " + report(put, 10_000));
    }

    static void refusals() throws Exception {
        MQMessage nowhere = message(CMQC.MQRO_COA);
        nowhere.replyToQueueName = "";
        System.out.println("no reply-to queue " + refused(nowhere));
        MQMessage request = message(0);
        request.replyToQueueName = "";
        request.messageType = CMQC.MQMT_REQUEST;
        System.out.println("no reply-to queue " + refused(request));
        System.out.println("unknown option " + refused(message(0x00100000)));
        System.out.println("option to pass over " + refused(message(0x10)) + " " + get(queue, 0));
    }

    static void overJms(String[] arguments) throws Exception {
        JmsConnectionFactory factory =
                JmsFactoryFactory.getInstance(WMQConstants.WMQ_PROVIDER).createConnectionFactory();
        factory.setIntProperty(WMQConstants.WMQ_CONNECTION_MODE, WMQConstants.WMQ_CM_CLIENT);
        factory.setStringProperty(WMQConstants.WMQ_CONNECTION_NAME_LIST, "127.0.0.1(" + arguments[0] + ")");
        factory.setStringProperty(WMQConstants.WMQ_CHANNEL, "APP.SVRCONN");
        factory.setStringProperty(WMQConstants.WMQ_QUEUE_MANAGER, arguments[1]);
        Connection connection = factory.createConnection();
        connection.start();
        Session session = connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
        Queue there = session.createQueue("queue:///" + arguments[2]);
        Queue back = session.createQueue("queue:///" + arguments[4]);
        MessageProducer producer = session.createProducer(there);
        MessageConsumer reports = session.createConsumer(back);
        MessageConsumer receiver = session.createConsumer(there);

        TextMessage sent = session.createTextMessage(TEXT);
        sent.setJMSReplyTo(back);
        sent.setStringProperty("color", "red");
        sent.setIntProperty(JmsConstants.JMS_IBM_REPORT_COA, CMQC.MQRO_COA_WITH_FULL_DATA);
        sent.setIntProperty(JmsConstants.JMS_IBM_REPORT_COD, CMQC.MQRO_COD);
        producer.send(sent);
        System.out.println("JMS arrival " + described(reports.receive(5000), sent));
        receiver.receive(5000);
        System.out.println("JMS delivery " + described(reports.receive(5000), sent));

        sent = session.createTextMessage(TEXT);
        sent.setJMSReplyTo(back);
        sent.setIntProperty(JmsConstants.JMS_IBM_REPORT_EXPIRATION, CMQC.MQRO_EXPIRATION_WITH_DATA);
        sent.setIntProperty(JmsConstants.JMS_IBM_REPORT_PASS_CORREL_ID, CMQC.MQRO_PASS_CORREL_ID);
        sent.setJMSCorrelationID("order 7");
        producer.send(sent, DeliveryMode.NON_PERSISTENT, 4, 300);
        System.out.println("JMS expiration " + described(reports.receive(10_000), sent));

        Queue temporary = session.createTemporaryQueue();
        MessageConsumer waiting = session.createConsumer(temporary);
        sent = session.createTextMessage("brief");
        sent.setJMSReplyTo(temporary);
        sent.setIntProperty(JmsConstants.JMS_IBM_REPORT_COA, CMQC.MQRO_COA);
        producer.send(sent, DeliveryMode.NON_PERSISTENT, 4, 0);
        System.out.println("JMS temporary " + described(waiting.receive(5000), sent));
        receiver.receive(5000);
        connection.close();
    }

    static String described(Message report, Message sent) throws JMSException {
        if (report == null) {
            return "none";
        }
        String about = report.getJMSCorrelationID();
        return report.getIntProperty(JmsConstants.JMS_IBM_MSGTYPE)
                + " " + report.getIntProperty(JmsConstants.JMS_IBM_FEEDBACK)
                + " of " + (about.equals(sent.getJMSMessageID()) ? "it" : about)
                + ", color " + report.getStringProperty("color")
                + ", " + (report instanceof TextMessage && ((TextMessage) report).getText() != null
                        ? ((TextMessage) report).getText().length() + " characters" : "no text");
    }

    static MQMessage message(int report) throws Exception {
        MQMessage message = new MQMessage();
        message.format = CMQC.MQFMT_STRING;
        message.report = report;
        message.replyToQueueName = answers.getName().trim();
        message.correlationId = Arrays.copyOf("order 7".getBytes(), 24);
        message.persistence = CMQC.MQPER_PERSISTENT;
        message.priority = 5;
        message.writeString(TEXT);
        return message;
    }

    static MQMessage put(MQQueue there, int report, int options) throws Exception {
        MQMessage message = message(report);
        MQPutMessageOptions how = new MQPutMessageOptions();
        how.options = options;
        there.put(message, how);
        return message;
    }

    static int get(MQQueue there, int options) throws Exception {
        MQGetMessageOptions how = new MQGetMessageOptions();
        how.options = options;
        MQMessage message = new MQMessage();
        there.get(message, how);
        return message.getDataLength();
    }

    static int refused(MQMessage message) {
        try {
            queue.put(message, new MQPutMessageOptions());
            return 0;
        } catch (MQException refused) {
            return refused.getReason();
        }
    }

    static String report(MQMessage about) throws Exception {
        return report(about, 200);
    }

    /// The next report, in words; what is as it always should be is left out.
    static String report(MQMessage about, int waitMs) throws Exception {
        MQGetMessageOptions how = new MQGetMessageOptions();
        how.options = CMQC.MQGMO_WAIT;
        how.waitInterval = waitMs;
        MQMessage report = new MQMessage();
        try {
            answers.get(report, how);
        } catch (MQException none) {
            return String.valueOf(none.getReason());
        }
        boolean isUsual = report.messageType == CMQC.MQMT_REPORT
                && report.report == 0
                && report.expiry == CMQC.MQEI_UNLIMITED
                && report.priority == 5
                && report.persistence == CMQC.MQPER_PERSISTENT
                && report.putApplicationType == CMQC.MQAT_QMGR
                && report.putApplicationName.trim().equals(manager.getName().trim())
                && report.replyToQueueManagerName.trim().equals(manager.getName().trim())
                && report.replyToQueueName.trim().isEmpty()
                && report.format.trim().equals(report.getDataLength() == 0 ? "" : CMQC.MQFMT_STRING.trim());
        byte[] correlation = report.correlationId;
        String ids = Arrays.equals(correlation, about.messageId) ? "it"
                : Arrays.equals(correlation, about.correlationId) ? "its correlation id" : "something else";
        String own = Arrays.equals(report.messageId, about.messageId) ? ", its message id" : "";
        int length = report.getDataLength();
        boolean isBegin = TEXT.startsWith(report.readStringOfByteLength(length));
        return report.feedback + " of " + ids + own + ", " + length + " bytes" + (isUsual && isBegin ? "" : " UNUSUAL " + report);
    }
}
