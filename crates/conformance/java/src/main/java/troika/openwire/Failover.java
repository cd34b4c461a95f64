package troika.openwire;

import java.util.List;
import javax.jms.*;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQConnectionFactory;
import troika.Scenario;

/** The failover transport carries a session over a SIGKILL and restart of the server. */
public final class Failover {
  public static void main(String[] argv) {
    Scenario.run(argv, Failover::body);
  }

  static void body(Scenario s) throws Exception {
    String url =
        "failover:(" + s.openwireUrl() + ")?initialReconnectDelay=50&maxReconnectDelay=200&timeout=20000";
    ActiveMQConnection c = Jms.open(s, url);
    Session session = c.createSession(false, Session.CLIENT_ACKNOWLEDGE);
    Queue queue = session.createQueue(s.name("failover.queue"));
    MessageProducer producer = session.createProducer(queue);
    MessageConsumer consumer = session.createConsumer(queue);
    Jms.send(session, producer, "a", "b", "c");
    Message a = consumer.receive(Jms.COMES_MS);
    s.equal("a", Jms.text(a), "before the kill");
    a.acknowledge();

    Connection durable = new ActiveMQConnectionFactory(url).createConnection();
    durable.setClientID(s.name("failover-client"));
    durable.start();
    Session ds = durable.createSession(false, Session.AUTO_ACKNOWLEDGE);
    Topic topic = ds.createTopic(s.name("failover.topic"));
    TopicSubscriber subscriber = ds.createDurableSubscriber(topic, "sub");
    MessageProducer news = session.createProducer(topic);
    TemporaryQueue temp = ds.createTemporaryQueue();
    MessageConsumer answers = ds.createConsumer(temp);

    Session tx = c.createSession(true, Session.SESSION_TRANSACTED);
    Queue results = tx.createQueue(s.name("failover.results"));
    MessageProducer txProducer = tx.createProducer(results);
    Jms.send(tx, txProducer, "r1");
    tx.commit();
    // The acknowledgement above is asynchronous; a synchronous request behind it on the same socket ends after it.
    session.createProducer(queue).close();

    s.killServer();

    Jms.send(session, producer, "d");
    s.ok("the producer goes on");
    s.equal(List.of("b", "c", "d"), Jms.take(consumer, 3), "the consumer goes on");
    Jms.nothing(s, consumer, "none doubled");
    s.ok("the consumer goes on");
    Jms.send(session, news, "news");
    s.equal("news", Jms.text(subscriber.receive(Jms.COMES_MS)), "durable subscription");
    s.ok("the durable subscription goes on");
    Session fs = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    Jms.send(fs, fs.createProducer(temp), "to temp");
    s.equal("to temp", Jms.text(answers.receive(Jms.COMES_MS)), "temporary queue");
    s.ok("the temporary queue is declared again");
    Jms.send(tx, txProducer, "r2");
    tx.commit();
    MessageConsumer check = fs.createConsumer(results);
    s.equal(List.of("r1", "r2"), Jms.take(check, 2), "commits on both sides of the kill");
    s.ok("transactions go on");
    c.close();
    durable.close();
  }
}
