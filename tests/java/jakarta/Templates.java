// Spring's JmsTemplate and its listener container over IBM MQ classes for Jakarta Messaging. Prints what it did, one line a step; a
// test compares the lines.
// Arguments: connection name list, queue manager, queue.

import com.ibm.msg.client.jakarta.jms.JmsConnectionFactory;
import com.ibm.msg.client.jakarta.jms.JmsFactoryFactory;
import com.ibm.msg.client.jakarta.wmq.WMQConstants;
import jakarta.jms.ConnectionFactory;
import jakarta.jms.JMSException;
import jakarta.jms.Message;
import jakarta.jms.MessageListener;
import jakarta.jms.Session;
import jakarta.jms.TextMessage;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.springframework.jms.connection.CachingConnectionFactory;
import org.springframework.jms.connection.JmsTransactionManager;
import org.springframework.jms.core.JmsTemplate;
import org.springframework.jms.listener.DefaultMessageListenerContainer;
import org.springframework.transaction.support.TransactionTemplate;

public class Templates {
    static String queue;

    public static void main(String[] arguments) throws Exception {
        queue = "queue:///" + arguments[2];
        ConnectionFactory plain = factory(arguments[0], arguments[1]);
        CachingConnectionFactory kept = new CachingConnectionFactory(plain);
        JmsTemplate template = new JmsTemplate(kept);
        template.setDefaultDestinationName(queue);
        template.setReceiveTimeout(5000);

        template.convertAndSend("hello");
        System.out.println("converted " + template.receiveAndConvert());
        for (String color : new String[] {"red", "blue"}) {
            template.convertAndSend(queue, color, message -> {
                message.setStringProperty("color", color);
                return message;
            });
        }
        System.out.println("browsed " + template.browse((session, browser) -> {
            List<String> texts = new ArrayList<>();
            for (Object message : Collections.list(browser.getEnumeration())) {
                texts.add(((TextMessage) message).getText());
            }
            return texts;
        }));
        System.out.println("selected " + template.receiveSelectedAndConvert("color = 'blue'"));
        System.out.println("left " + template.receiveAndConvert());
        template.setReceiveTimeout(JmsTemplate.RECEIVE_TIMEOUT_NO_WAIT);
        System.out.println("empty " + template.receiveAndConvert());
        transacted(kept, template);

        System.out.println("contained " + contained(plain, template, Session.AUTO_ACKNOWLEDGE, false));
        System.out.println("contained in units " + contained(plain, template, Session.SESSION_TRANSACTED, false));
        System.out.println("contained, and each failed once " + contained(plain, template, Session.SESSION_TRANSACTED, true));
        requestAndReply(plain, kept);
        System.out.println("left " + template.receiveAndConvert());
        kept.destroy();
        System.out.println("done");
    }

    static ConnectionFactory factory(String connections, String manager) throws JMSException {
        JmsConnectionFactory factory =
                JmsFactoryFactory.getInstance(WMQConstants.JAKARTA_WMQ_PROVIDER).createConnectionFactory();
        factory.setIntProperty(WMQConstants.WMQ_CONNECTION_MODE, WMQConstants.WMQ_CM_CLIENT);
        factory.setStringProperty(WMQConstants.WMQ_CONNECTION_NAME_LIST, connections);
        factory.setStringProperty(WMQConstants.WMQ_CHANNEL, "APP.SVRCONN");
        factory.setStringProperty(WMQConstants.WMQ_QUEUE_MANAGER, manager);
        return factory;
    }

    static DefaultMessageListenerContainer container(ConnectionFactory factory, int consumers, MessageListener listener) {
        DefaultMessageListenerContainer container = new DefaultMessageListenerContainer();
        container.setConnectionFactory(factory);
        container.setDestinationName(queue);
        container.setConcurrentConsumers(consumers);
        container.setRecoveryInterval(200);
        container.setMessageListener(listener);
        return container;
    }

    static void begin(DefaultMessageListenerContainer container) {
        container.afterPropertiesSet();
        container.start();
    }

    /// Spring's own units of work: one that is given up, and one that is not.
    static void transacted(ConnectionFactory factory, JmsTemplate template) {
        TransactionTemplate unit = new TransactionTemplate(new JmsTransactionManager(factory));
        unit.executeWithoutResult(status -> {
            template.convertAndSend("never");
            status.setRollbackOnly();
        });
        unit.executeWithoutResult(status -> template.convertAndSend("once"));
        System.out.println("transacted " + template.receiveAndConvert() + ", then " + template.receiveAndConvert());
    }

    /// What a container heard of twenty messages: each once, and how many were there to be heard again.
    static String contained(ConnectionFactory factory, JmsTemplate template, int mode, boolean fails) throws Exception {
        Set<Integer> heard = new ConcurrentSkipListSet<>();
        Set<String> failed = Collections.synchronizedSet(new TreeSet<>());
        AtomicInteger redelivered = new AtomicInteger();
        CountDownLatch all = new CountDownLatch(20);
        DefaultMessageListenerContainer container = container(factory, 3, message -> {
            try {
                String text = ((TextMessage) message).getText();
                if (fails && failed.add(text)) {
                    throw new IllegalStateException("once for " + text);
                }
                redelivered.addAndGet(message.getJMSRedelivered() ? 1 : 0);
                if (heard.add(Integer.parseInt(text))) {
                    all.countDown();
                }
            } catch (JMSException error) {
                throw new IllegalStateException(error);
            }
        });
        container.setSessionTransacted(mode == Session.SESSION_TRANSACTED);
        container.setErrorHandler(error -> {});
        begin(container);
        for (int number = 1; number <= 20; number++) {
            template.convertAndSend(String.valueOf(number));
        }
        all.await(20, TimeUnit.SECONDS);
        container.shutdown();
        return heard.size() + " to " + Collections.max(heard) + ", redelivered " + redelivered;
    }

    static void requestAndReply(ConnectionFactory factory, ConnectionFactory kept) {
        JmsTemplate answers = new JmsTemplate(kept);
        DefaultMessageListenerContainer container = container(factory, 1, message -> {
            try {
                String text = ((TextMessage) message).getText();
                answers.send(message.getJMSReplyTo(), session -> session.createTextMessage("reply to " + text));
            } catch (JMSException error) {
                throw new IllegalStateException(error);
            }
        });
        begin(container);
        JmsTemplate asks = new JmsTemplate(kept);
        asks.setReceiveTimeout(5000);
        Message reply = asks.sendAndReceive(queue, session -> session.createTextMessage("request"));
        try {
            System.out.println(reply == null ? "no reply" : ((TextMessage) reply).getText());
        } catch (JMSException error) {
            System.out.println(error);
        }
        container.shutdown();
    }
}
