// Spring's listener container moves messages from one queue to another, each in a unit of work, while JmsTemplate sends them and the
// node that serves is killed. Prints "sent N" for each message, then the ledger of what is in the other queue.
// Arguments: connection name list, queue manager, queue, the other queue, number of messages.

import jakarta.jms.ConnectionFactory;
import jakarta.jms.JMSException;
import jakarta.jms.TextMessage;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.logging.LogManager;
import org.springframework.jms.JmsException;
import org.springframework.jms.connection.CachingConnectionFactory;
import org.springframework.jms.core.JmsTemplate;
import org.springframework.jms.listener.DefaultMessageListenerContainer;

public class Moving {
    public static void main(String[] arguments) throws Exception {
        // What Spring says of each failure is long, and not what is looked at.
        LogManager.getLogManager().reset();
        Templates.queue = "queue:///" + arguments[2];
        String other = "queue:///" + arguments[3];
        int count = Integer.parseInt(arguments[4]);
        ConnectionFactory factory = Templates.factory(arguments[0], arguments[1]);

        // Of the same factory and transacted: it puts in the unit of the session that the listener is called in.
        JmsTemplate onward = new JmsTemplate(factory);
        onward.setSessionTransacted(true);
        DefaultMessageListenerContainer container = Templates.container(factory, 2, message -> {
            try {
                onward.convertAndSend(other, ((TextMessage) message).getText());
            } catch (JMSException error) {
                throw new IllegalStateException(error);
            }
        });
        container.setSessionTransacted(true);
        container.setErrorHandler(error -> {});
        Templates.begin(container);

        CachingConnectionFactory kept = new CachingConnectionFactory(factory);
        JmsTemplate template = new JmsTemplate(kept);
        template.setReceiveTimeout(3000);
        // Those of which it is not known whether they were put: each may be there once more for every time.
        Map<Integer, Integer> again = new TreeMap<>();
        for (int number = 1; number <= count; number++) {
            while (!isSent(template, number)) {
                again.merge(number, 1, Integer::sum);
                kept.resetConnection();
                Thread.sleep(20);
            }
            System.out.println("sent " + number);
        }
        Map<Integer, Integer> moved = new TreeMap<>();
        Object text;
        while ((text = template.receiveAndConvert(other)) != null) {
            moved.merge(Integer.parseInt((String) text), 1, Integer::sum);
        }
        container.shutdown();
        Set<Integer> tooOften = new TreeSet<>();
        moved.forEach((number, times) -> {
            if (times > 1 + again.getOrDefault(number, 0)) {
                tooOften.add(number);
            }
        });
        template.setReceiveTimeout(JmsTemplate.RECEIVE_TIMEOUT_NO_WAIT);
        System.out.println("again " + again.size() + ", more than once "
                + moved.values().stream().filter(times -> times > 1).count());
        System.out.println("moved " + moved.size() + ", too often " + tooOften + ", left "
                + template.receiveAndConvert(Templates.queue));
        kept.destroy();
    }

    static boolean isSent(JmsTemplate template, int number) {
        try {
            template.convertAndSend(Templates.queue, String.valueOf(number));
            return true;
        } catch (JmsException interrupted) {
            return false;
        }
    }
}
