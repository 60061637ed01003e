// A JMS program that goes on by itself when the queue manager moves to another node.
// Arguments: connection name list, queue manager, queue, number of messages (0: until standard input ends), and for mutual TLS a
// directory of certificates. Prints "sent N" for each message, then what it received.

import com.ibm.msg.client.jms.JmsConnectionFactory;
import com.ibm.msg.client.jms.JmsFactoryFactory;
import com.ibm.msg.client.wmq.WMQConstants;
import java.io.IOException;
import java.nio.file.Path;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicBoolean;
import javax.jms.Connection;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.Session;
import javax.jms.TextMessage;

public class Reconnecting {
    public static void main(String[] arguments) throws Exception {
        JmsConnectionFactory factory =
                JmsFactoryFactory.getInstance(WMQConstants.WMQ_PROVIDER).createConnectionFactory();
        factory.setIntProperty(WMQConstants.WMQ_CONNECTION_MODE, WMQConstants.WMQ_CM_CLIENT);
        factory.setStringProperty(WMQConstants.WMQ_CONNECTION_NAME_LIST, arguments[0]);
        factory.setStringProperty(WMQConstants.WMQ_CHANNEL, "APP.SVRCONN");
        factory.setStringProperty(WMQConstants.WMQ_QUEUE_MANAGER, arguments[1]);
        factory.setIntProperty(WMQConstants.WMQ_CLIENT_RECONNECT_OPTIONS, WMQConstants.WMQ_CLIENT_RECONNECT);
        factory.setIntProperty(WMQConstants.WMQ_CLIENT_RECONNECT_TIMEOUT, 60);
        if (arguments.length > 4) {
            System.setProperty("com.ibm.mq.cfg.useIBMCipherMappings", "false");
            factory.setStringProperty(WMQConstants.WMQ_SSL_CIPHER_SUITE, "*TLS12ORHIGHER");
            factory.setObjectProperty(WMQConstants.WMQ_SSL_SOCKET_FACTORY, Protected.sockets(Path.of(arguments[4]), "user-app"));
        }
        Connection connection = factory.createConnection();
        connection.start();
        Session session = connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
        Queue queue = session.createQueue("queue:///" + arguments[2]);
        MessageProducer producer = session.createProducer(queue);
        int count = Integer.parseInt(arguments[3]);
        AtomicBoolean told = new AtomicBoolean();
        if (count == 0) {
            Thread listener = new Thread(() -> told.set(awaitEnd()));
            listener.setDaemon(true);
            listener.start();
        }
        for (int number = 1; count == 0 ? !told.get() : number <= count; number++) {
            TextMessage message = session.createTextMessage(String.valueOf(number));
            try {
                producer.send(message);
            } catch (JMSException interrupted) {
                // It may have been put: sent again, it may be there twice, and never not at all.
                System.out.println("again " + number);
                number--;
                continue;
            }
            System.out.println("sent " + number);
        }
        MessageConsumer consumer = session.createConsumer(queue);
        TreeSet<Integer> received = new TreeSet<>();
        Message message;
        while ((message = consumer.receive(2000)) != null) {
            received.add(Integer.parseInt(((TextMessage) message).getText()));
        }
        System.out.println("received " + received.size() + " to " + received.last());
        connection.close();
    }

    static boolean awaitEnd() {
        try {
            System.in.readAllBytes();
        } catch (IOException broken) {
            // It has ended, too.
        }
        return true;
    }
}
