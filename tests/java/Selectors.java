// Message selectors over IBM MQ classes for JMS. Prints what it did, one line a step; a test compares the lines.
// Arguments: port, queue manager, queue.

import com.ibm.msg.client.jms.JmsConnectionFactory;
import com.ibm.msg.client.jms.JmsFactoryFactory;
import com.ibm.msg.client.wmq.WMQConstants;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import javax.jms.Connection;
import javax.jms.DeliveryMode;
import javax.jms.InvalidSelectorException;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.QueueBrowser;
import javax.jms.Session;
import javax.jms.TextMessage;

public class Selectors {
    static Session session;
    static Queue queue;
    static MessageProducer producer;

    public static void main(String[] arguments) throws Exception {
        JmsConnectionFactory factory =
                JmsFactoryFactory.getInstance(WMQConstants.WMQ_PROVIDER).createConnectionFactory();
        factory.setIntProperty(WMQConstants.WMQ_CONNECTION_MODE, WMQConstants.WMQ_CM_CLIENT);
        factory.setStringProperty(WMQConstants.WMQ_CONNECTION_NAME_LIST, "127.0.0.1(" + arguments[0] + ")");
        factory.setStringProperty(WMQConstants.WMQ_CHANNEL, "APP.SVRCONN");
        factory.setStringProperty(WMQConstants.WMQ_QUEUE_MANAGER, arguments[1]);
        Connection connection = factory.createConnection();
        connection.start();
        session = connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
        queue = session.createQueue("queue:///" + arguments[2]);
        producer = session.createProducer(queue);

        String[] colors = {"red", "blue", "green"};
        for (int number = 0; number < 9; number++) {
            TextMessage message = session.createTextMessage(colors[number % 3] + number);
            message.setStringProperty("color", colors[number % 3]);
            message.setIntProperty("number", number);
            message.setBooleanProperty("even", number % 2 == 0);
            message.setDoubleProperty("price", number + 0.5);
            message.setLongProperty("big", number * 1_000_000_000_000L);
            producer.send(message);
        }
        // What IBM's client makes of it is sent to the queue manager; each finds these and no others.
        String[] selectors = {
            "color = 'red'",
            "color <> 'red' AND number > 3",
            "number BETWEEN 2 AND 4",
            "color IN ('blue', 'green') AND NOT even",
            "color LIKE 'gr__n'",
            "even",
            "even = FALSE AND price < 4",
            "big = 8000000000000",
            "missing IS NULL AND number * 2 = 6",
            "missing = 1",
            "JMSPriority = 4 AND JMSDeliveryMode = 'PERSISTENT' AND number < 2",
        };
        for (String selector : selectors) {
            System.out.println(selector + " " + browsed(selector));
        }
        System.out.println("consumed " + consumed("color = 'blue'"));
        System.out.println("left " + browsed(null));
        System.out.println("listened " + listened(connection));
        consumed(null);

        requestAndReply(connection);
        headers();
        transacted(connection);
        for (String selector : new String[] {"color =", "color = 'red", "color > 'red'", "number IN (1)"}) {
            try {
                session.createConsumer(queue, selector).close();
                System.out.println("taken " + selector);
            } catch (InvalidSelectorException error) {
                System.out.println("invalid " + selector);
            }
        }
        connection.close();
        System.out.println("done");
    }

    static List<String> browsed(String selector) throws JMSException {
        QueueBrowser browser = selector == null ? session.createBrowser(queue) : session.createBrowser(queue, selector);
        List<String> texts = new ArrayList<>();
        for (Object message : Collections.list(browser.getEnumeration())) {
            texts.add(text((Message) message));
        }
        browser.close();
        return texts;
    }

    static List<String> consumed(String selector) throws JMSException {
        MessageConsumer consumer = session.createConsumer(queue, selector);
        List<String> texts = new ArrayList<>();
        for (Message got = consumer.receive(300); got != null; got = consumer.receiveNoWait()) {
            texts.add(text(got));
        }
        consumer.close();
        return texts;
    }

    static List<String> listened(Connection connection) throws Exception {
        Session listening = connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
        MessageConsumer consumer = listening.createConsumer(queue, "color = 'red' OR color = 'late'");
        List<String> heard = Collections.synchronizedList(new ArrayList<>());
        CountDownLatch all = new CountDownLatch(4);
        consumer.setMessageListener(message -> {
            try {
                heard.add(text(message));
            } catch (JMSException error) {
                heard.add(error.toString());
            }
            all.countDown();
        });
        for (String color : new String[] {"early", "late"}) {
            TextMessage message = session.createTextMessage(color);
            message.setStringProperty("color", color);
            producer.send(message);
        }
        all.await(10, TimeUnit.SECONDS);
        listening.close();
        return heard;
    }

    static void requestAndReply(Connection connection) throws JMSException {
        TextMessage request = session.createTextMessage("request");
        producer.send(request);
        Message asked = session.createConsumer(queue, "JMSMessageID = '" + request.getJMSMessageID() + "'").receive(5000);
        for (String correlation : new String[] {"order 6", "order 7", request.getJMSMessageID()}) {
            TextMessage reply = session.createTextMessage("reply to " + correlation.substring(0, 6));
            reply.setJMSCorrelationID(correlation);
            producer.send(reply);
        }
        String own = "JMSCorrelationID = '" + asked.getJMSMessageID() + "'";
        System.out.println("by id " + text(asked) + ", " + consumed(own) + ", " + consumed("JMSCorrelationID = 'order 7'")
                + ", " + consumed("JMSCorrelationID LIKE 'order%'"));
    }

    static void headers() throws JMSException {
        TextMessage typed = session.createTextMessage("typed");
        typed.setJMSType("car");
        typed.setStringProperty("JMSXGroupID", "group");
        typed.setIntProperty("JMSXGroupSeq", 2);
        producer.send(typed, DeliveryMode.NON_PERSISTENT, 9, 0);
        String[] selectors = {
            "JMSType = 'car'",
            "JMSType LIKE 'c%'",
            "JMSPriority >= 9",
            "JMSDeliveryMode = 'NON_PERSISTENT'",
            "JMSTimestamp > " + (System.currentTimeMillis() - 60_000),
            "JMSXGroupID = 'group'",
            "JMSXGroupSeq = 2",
            "JMSXDeliveryCount = 1",
            "JMSXUserID IS NOT NULL",
            "JMS_IBM_MsgType = 8",
            "JMS_IBM_PutApplType > 0",
        };
        for (String selector : selectors) {
            System.out.println(selector.replaceAll("[0-9]{9,}", "…") + " " + browsed(selector));
        }
        consumed(null);
    }

    static void transacted(Connection connection) throws JMSException {
        Session unit = connection.createSession(true, Session.SESSION_TRANSACTED);
        for (String color : new String[] {"blue", "red"}) {
            TextMessage message = session.createTextMessage(color);
            message.setStringProperty("color", color);
            producer.send(message);
        }
        MessageConsumer gets = unit.createConsumer(queue, "color = 'red'");
        String first = text(gets.receive(5000));
        unit.rollback();
        Message again = gets.receive(5000);
        unit.commit();
        System.out.println("transacted " + first + ", again " + text(again) + " redelivered " + again.getJMSRedelivered()
                + ", then " + gets.receiveNoWait() + ", left " + browsed(null));
        unit.close();
        consumed(null);
    }

    static String text(Message message) throws JMSException {
        return message == null ? "nothing" : ((TextMessage) message).getText();
    }
}
