import javax.jms.Connection;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.Queue;
import javax.jms.Session;
import javax.jms.TextMessage;
import org.apache.activemq.ActiveMQConnectionFactory;

/**
 * ActiveMQ's Java client: sends to the queue `orders`, or prints what is in it.
 *
 * <pre>
 * java -cp 'target/examples/lib/*' examples/Jms.java send "from JMS"
 * java -cp 'target/examples/lib/*' examples/Jms.java receive
 * </pre>
 */
public class Jms {
    public static void main(String[] args) throws Exception {
        Connection connection = new ActiveMQConnectionFactory("tcp://127.0.0.1:61616").createConnection();
        connection.start();
        Session session = connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
        Queue orders = session.createQueue("orders");
        if (args[0].equals("send")) {
            session.createProducer(orders).send(session.createTextMessage(args[1]));
            System.out.println("JMS: sent " + args[1]);
        } else {
            MessageConsumer consumer = session.createConsumer(orders);
            for (Message message; (message = consumer.receive(2000)) != null; ) {
                // What a foreign client did not call text arrives as bytes.
                String text = message instanceof TextMessage
                    ? ((TextMessage) message).getText()
                    : new String(message.getBody(byte[].class));
                System.out.println("JMS: received " + text);
            }
        }
        connection.close();
    }
}
