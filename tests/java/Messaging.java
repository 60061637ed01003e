// A program over IBM MQ classes for JMS. Prints what it did, one line a step; a test compares the lines.
// Arguments: port, queue manager, queue.

import com.ibm.msg.client.jms.JmsConnectionFactory;
import com.ibm.msg.client.jms.JmsFactoryFactory;
import com.ibm.msg.client.wmq.WMQConstants;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import javax.jms.BytesMessage;
import javax.jms.Connection;
import javax.jms.DeliveryMode;
import javax.jms.JMSException;
import javax.jms.MapMessage;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.ObjectMessage;
import javax.jms.Queue;
import javax.jms.QueueBrowser;
import javax.jms.Session;
import javax.jms.StreamMessage;
import javax.jms.TemporaryQueue;
import javax.jms.TextMessage;

public class Messaging {
    static Connection connection;
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
        connection = factory.createConnection();
        connection.start();
        session = connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
        queue = session.createQueue("queue:///" + arguments[2]);
        producer = session.createProducer(queue);
        MessageConsumer consumer = session.createConsumer(queue);

        TextMessage colored = session.createTextMessage("hello");
        colored.setStringProperty("color", "red");
        producer.send(colored);
        Message got = consumer.receive(5000);
        System.out.println("text " + text(got) + " " + got.getStringProperty("color"));
        System.out.println("empty " + consumer.receive(200) + " " + consumer.receiveNoWait());

        for (String word : new String[] {"one", "two", "three"}) {
            producer.send(session.createTextMessage(word));
        }
        QueueBrowser browser = session.createBrowser(queue);
        List<String> browsed = new ArrayList<>();
        for (Object message : Collections.list(browser.getEnumeration())) {
            browsed.add(text((Message) message));
        }
        browser.close();
        System.out.println("browsed " + browsed);
        System.out.println("received " + text(consumer.receiveNoWait()) + text(consumer.receive(100)) + text(consumer.receive(100)));

        MapMessage map = session.createMapMessage();
        map.setInt("x", 7);
        producer.send(map);
        producer.send(session.createObjectMessage("object"));
        StreamMessage stream = session.createStreamMessage();
        stream.writeInt(9);
        producer.send(stream);
        BytesMessage bytes = session.createBytesMessage();
        bytes.writeBytes(new byte[10_000]);
        producer.send(bytes);
        System.out.println("kinds " + ((MapMessage) consumer.receive(5000)).getInt("x")
                + " " + ((ObjectMessage) consumer.receive(5000)).getObject()
                + " " + ((StreamMessage) consumer.receive(5000)).readInt()
                + " " + ((BytesMessage) consumer.receive(5000)).getBodyLength());

        TemporaryQueue replies = session.createTemporaryQueue();
        TextMessage request = session.createTextMessage("request");
        request.setJMSReplyTo(replies);
        producer.send(request);
        Message asked = consumer.receive(5000);
        MessageProducer answering = session.createProducer(asked.getJMSReplyTo());
        answering.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
        answering.send(session.createTextMessage("reply to " + text(asked)));
        MessageConsumer waiting = session.createConsumer(replies);
        System.out.println(text(waiting.receive(5000)));
        answering.close();
        waiting.close();
        replies.delete();

        producer.send(session.createTextMessage("urgent"), DeliveryMode.NON_PERSISTENT, 7, 60_000);
        Message urgent = consumer.receive(5000);
        System.out.println("priority " + urgent.getJMSPriority() + " mode " + urgent.getJMSDeliveryMode()
                + " expires " + (urgent.getJMSExpiration() > System.currentTimeMillis()));
        consumer.close();

        transacted();
        acknowledged();
        listener();
        aheadAndAsync();
        listenerAhead();

        System.out.println("64 sessions " + manySessions());
        connection.close();
        System.out.println("done");
    }

    static void transacted() throws JMSException {
        Session unit = connection.createSession(true, Session.SESSION_TRANSACTED);
        MessageProducer puts = unit.createProducer(queue);
        puts.send(unit.createTextMessage("never"));
        unit.rollback();
        puts.send(unit.createTextMessage("once"));
        unit.commit();
        MessageConsumer gets = unit.createConsumer(queue);
        String first = text(gets.receive(5000));
        unit.rollback();
        Message again = gets.receive(5000);
        unit.commit();
        System.out.println("transacted " + first + ", again " + text(again) + " redelivered "
                + again.getJMSRedelivered() + " count " + again.getIntProperty("JMSXDeliveryCount"));
        unit.close();
    }

    static void acknowledged() throws JMSException {
        Session careful = connection.createSession(false, Session.CLIENT_ACKNOWLEDGE);
        producer.send(session.createTextMessage("careful"));
        MessageConsumer gets = careful.createConsumer(queue);
        gets.receive(5000);
        careful.recover();
        Message again = gets.receive(5000);
        again.acknowledge();
        System.out.println("acknowledged " + text(again) + " redelivered " + again.getJMSRedelivered());
        careful.close();
    }

    static void listener() throws Exception {
        Session listening = connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
        MessageConsumer consumer = listening.createConsumer(queue);
        List<String> heard = Collections.synchronizedList(new ArrayList<>());
        CountDownLatch all = new CountDownLatch(5);
        consumer.setMessageListener(message -> {
            try {
                heard.add(text(message));
            } catch (JMSException error) {
                heard.add(error.toString());
            }
            all.countDown();
        });
        for (int number = 0; number < 5; number++) {
            producer.send(session.createTextMessage("m" + number));
        }
        System.out.println("listener " + all.await(10, TimeUnit.SECONDS) + " " + heard);
        listening.close();
    }

    static void aheadAndAsync() throws JMSException {
        String name = queue.getQueueName();
        Queue async = session.createQueue(name + "?putAsyncAllowed=1");
        MessageProducer puts = session.createProducer(async);
        for (int number = 0; number < 20; number++) {
            puts.send(session.createTextMessage("a" + number), DeliveryMode.NON_PERSISTENT, 4, 0);
        }
        puts.close();
        MessageConsumer ahead = session.createConsumer(session.createQueue(name + "?readAheadAllowed=1"));
        int count = 0;
        while (count < 20 && text(ahead.receive(5000)).equals("a" + count)) {
            count++;
        }
        ahead.close();
        System.out.println("asynchronous puts and read ahead " + count);
    }

    /// Each third message is persistent, so it is not sent before those in front of it are consumed.
    static void listenerAhead() throws Exception {
        Session listening = connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
        MessageConsumer consumer =
                listening.createConsumer(session.createQueue(queue.getQueueName() + "?readAheadAllowed=1"));
        List<String> heard = Collections.synchronizedList(new ArrayList<>());
        List<String> sent = new ArrayList<>();
        CountDownLatch all = new CountDownLatch(300);
        consumer.setMessageListener(message -> {
            try {
                heard.add(text(message));
            } catch (JMSException error) {
                heard.add(error.toString());
            }
            all.countDown();
        });
        for (int number = 0; number < 300; number++) {
            sent.add("h" + number);
            int mode = number % 3 == 2 ? DeliveryMode.PERSISTENT : DeliveryMode.NON_PERSISTENT;
            producer.send(session.createTextMessage("h" + number), mode, 4, 0);
        }
        System.out.println("listener ahead " + all.await(20, TimeUnit.SECONDS) + " in order " + heard.equals(sent));
        listening.close();
    }

    /// All of them of one connection, each with messages of its own, at once.
    static String manySessions() throws JMSException {
        List<Session> sessions = new ArrayList<>();
        List<MessageConsumer> consumers = new ArrayList<>();
        for (int number = 0; number < 64; number++) {
            Session one = connection.createSession(number % 2 == 0, number % 2 == 0 ? Session.SESSION_TRANSACTED : Session.AUTO_ACKNOWLEDGE);
            consumers.add(one.createConsumer(queue, "number = " + number));
            sessions.add(one);
        }
        for (int number = 63; number >= 0; number--) {
            Session one = sessions.get(number);
            Message message = one.createTextMessage("s" + number);
            message.setIntProperty("number", number);
            one.createProducer(queue).send(message);
            if (one.getTransacted()) {
                one.commit();
            }
        }
        int own = 0, others = 0;
        for (int number = 0; number < 64; number++) {
            String got = text(consumers.get(number).receive(5000));
            if (got.equals("s" + number)) {
                own++;
            } else {
                others++;
            }
            // Half of those in units of work are given up when their session is closed.
            if (number % 4 == 0) {
                sessions.get(number).commit();
            }
            sessions.get(number).close();
        }
        MessageConsumer rest = session.createConsumer(queue);
        int left = 0;
        while (!text(rest.receive(300)).equals("nothing")) {
            left++;
        }
        rest.close();
        return own + " got their own, " + others + " did not, " + left + " of units that were given up";
    }

    static String text(Message message) throws JMSException {
        return message == null ? "nothing" : ((TextMessage) message).getText();
    }
}
