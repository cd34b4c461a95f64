package troika.openwire;

import java.util.ArrayList;
import java.util.List;
import javax.jms.*;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQSession;
import org.apache.activemq.command.ActiveMQMessage;
import troika.Scenario;

/** What comes back when consumers, sessions and connections close: in which order, and what counts as an attempt. */
public final class Closing {
  public static void main(String[] argv) {
    Scenario.run(
        argv,
        s -> {
          matrix(s);
          untouched(s);
          severalConsumers(s);
          attemptsAddUp(s);
          individual(s);
          clientRange(s);
          deadLetter(s);
        });
  }

  static ActiveMQConnection open(Scenario s) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    c.getRedeliveryPolicy().setInitialRedeliveryDelay(0);
    c.getRedeliveryPolicy().setRedeliveryDelay(0);
    return c;
  }

  static String shown(Message m) throws JMSException {
    if (m == null) return null;
    return Jms.text(m) + (m.getJMSRedelivered() ? "!" : "") + m.getIntProperty("JMSXDeliveryCount");
  }

  static List<String> rest(Scenario s, String queue, int count) throws Exception {
    ActiveMQConnection c = open(s);
    Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    MessageConsumer consumer = session.createConsumer(session.createQueue(queue));
    List<String> found = new ArrayList<>();
    for (int i = 0; i < count; i++) found.add(shown(consumer.receive(Jms.COMES_MS)));
    Jms.nothing(s, consumer, "more in " + queue);
    c.close();
    return found;
  }

  static void matrix(Scenario s) throws Exception {
    int[] modes = {
      Session.AUTO_ACKNOWLEDGE,
      Session.CLIENT_ACKNOWLEDGE,
      ActiveMQSession.INDIVIDUAL_ACKNOWLEDGE,
      Session.SESSION_TRANSACTED
    };
    for (String closing : List.of("consumer", "session", "connection")) {
      for (int mode : modes) {
        boolean transacted = mode == Session.SESSION_TRANSACTED;
        // The client keeps what a transaction has seen when only its consumer closes.
        if (transacted && closing.equals("consumer")) continue;
        String queue = s.name("closing." + closing + mode);
        ActiveMQConnection c = open(s);
        Session plain = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
        Jms.send(plain, plain.createProducer(plain.createQueue(queue)), "a", "b", "c", "d", "e");
        Session session = c.createSession(transacted, mode);
        MessageConsumer consumer = session.createConsumer(session.createQueue(queue));
        s.equal(List.of("a", "b"), Jms.take(consumer, 2), "seen");
        if (closing.equals("consumer")) consumer.close();
        if (closing.equals("session")) session.close();
        if (closing.equals("connection")) c.close();
        List<String> expected =
            mode == Session.AUTO_ACKNOWLEDGE
                ? List.of("c1", "d1", "e1")
                : List.of("a!2", "b!2", "c1", "d1", "e1");
        s.equal(expected, rest(s, queue, expected.size()), closing + " in mode " + mode);
        c.close();
      }
    }
    s.ok("what was seen comes first and counts, the rest is untouched");
  }

  static void untouched(Scenario s) throws Exception {
    String queue = s.name("closing.untouched");
    ActiveMQConnection c = open(s);
    Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    Jms.send(session, session.createProducer(session.createQueue(queue)), "a", "b");
    for (int i = 0; i < 8; i++) {
      Session worker = c.createSession(i % 2 == 0, i % 2 == 0 ? 0 : Session.CLIENT_ACKNOWLEDGE);
      worker.createConsumer(worker.createQueue(queue));
      Thread.sleep(50);
      worker.close();
    }
    s.equal(List.of("a1", "b1"), rest(s, queue, 2), "prefetched eight times, never seen");
    c.close();
    s.ok("prefetching costs no attempt");
  }

  static void severalConsumers(Scenario s) throws Exception {
    String queue = s.name("closing.several");
    ActiveMQConnection c = open(s);
    Session session = c.createSession(false, Session.CLIENT_ACKNOWLEDGE);
    MessageProducer producer = session.createProducer(null);
    for (String name : List.of(queue + 1, queue + 2))
      for (String text : List.of("a", "b"))
        producer.send(session.createQueue(name), session.createTextMessage(text));
    session.createConsumer(session.createQueue(queue + 1));
    Thread.sleep(100);
    MessageConsumer second = session.createConsumer(session.createQueue(queue + 2));
    s.equal("a", Jms.text(second.receive(Jms.COMES_MS)), "seen");
    session.close();
    s.equal(List.of("a1", "b1"), rest(s, queue + 1, 2), "the other consumer showed nothing");
    s.equal(List.of("a!2", "b1"), rest(s, queue + 2, 2), "this one showed one");
    c.close();
    s.ok("each consumer of a session returns its own");
  }

  static void attemptsAddUp(Scenario s) throws Exception {
    String queue = s.name("closing.attempts");
    ActiveMQConnection c = open(s);
    Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    Jms.send(session, session.createProducer(session.createQueue(queue)), "a");
    for (int i = 1; i <= 5; i++) {
      ActiveMQConnection worker = open(s);
      Session held = worker.createSession(false, Session.CLIENT_ACKNOWLEDGE);
      Message m = held.createConsumer(held.createQueue(queue)).receive(Jms.COMES_MS);
      s.equal("a" + (i > 1 ? "!" : "") + i, shown(m), "connection " + i);
      worker.close();
    }
    s.equal(List.of("a!6"), rest(s, queue, 1), "the sixth");
    c.close();
    s.ok("attempts add up over connections");
  }

  static void individual(Scenario s) throws Exception {
    String queue = s.name("closing.individual");
    ActiveMQConnection c = open(s);
    Session session = c.createSession(false, ActiveMQSession.INDIVIDUAL_ACKNOWLEDGE);
    Queue named = session.createQueue(queue);
    Jms.send(session, session.createProducer(named), "a", "b", "c", "d", "e");
    MessageConsumer consumer = session.createConsumer(named);
    List<Message> seen = new ArrayList<>();
    for (int i = 0; i < 5; i++) seen.add(consumer.receive(Jms.COMES_MS));
    seen.get(3).acknowledge();
    seen.get(1).acknowledge();
    seen.get(1).acknowledge();
    session.recover();
    List<String> again = new ArrayList<>();
    for (int i = 0; i < 3; i++) again.add(shown(consumer.receive(Jms.COMES_MS)));
    s.equal(List.of("a!2", "c!2", "e!2"), again, "after recover");
    c.close();
    s.equal(3, rest(s, queue, 3).size(), "left");
    s.ok("individual acknowledgements out of order");
  }

  static void clientRange(Scenario s) throws Exception {
    String queue = s.name("closing.range");
    ActiveMQConnection c = open(s);
    Session session = c.createSession(false, Session.CLIENT_ACKNOWLEDGE);
    MessageProducer producer = session.createProducer(null);
    for (String name : List.of(queue + 1, queue + 2))
      for (String text : List.of("a", "b", "c"))
        producer.send(session.createQueue(name), session.createTextMessage(text));
    MessageConsumer one = session.createConsumer(session.createQueue(queue + 1));
    MessageConsumer two = session.createConsumer(session.createQueue(queue + 2));
    s.equal(List.of("a", "b"), Jms.take(one, 2), "one");
    Message a = two.receive(Jms.COMES_MS);
    s.equal("b", Jms.text(two.receive(Jms.COMES_MS)), "two");
    a.acknowledge();
    c.close();
    s.equal(List.of("c1"), rest(s, queue + 1, 1), "everything the session had seen is done");
    s.equal(List.of("c1"), rest(s, queue + 2, 1), "of both consumers");
    s.ok("an acknowledgement covers the session");
  }

  static void deadLetter(Scenario s) throws Exception {
    ActiveMQConnection c = open(s);
    c.getRedeliveryPolicy().setMaximumRedeliveries(1);
    Session plain = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    String mark = s.name("closing.dead");
    MessageConsumer dlq = plain.createConsumer(plain.createQueue("ActiveMQ.DLQ"), "mark = '" + mark + "'");
    Queue queue = plain.createQueue(mark);
    Session session = c.createSession(true, Session.SESSION_TRANSACTED);
    MessageConsumer consumer = session.createConsumer(queue);
    for (long life : new long[] {0, 600_000}) {
      TextMessage m = plain.createTextMessage("x");
      m.setStringProperty("mark", mark);
      m.setJMSCorrelationID("correlation");
      m.setJMSType("type");
      m.setJMSReplyTo(plain.createQueue("reply"));
      plain.createProducer(queue).send(m, DeliveryMode.PERSISTENT, 8, life);
      long expiration = m.getJMSExpiration();
      for (int attempt = 1; attempt <= 2; attempt++) {
        s.equal(attempt, consumer.receive(Jms.COMES_MS).getIntProperty("JMSXDeliveryCount"), "attempt");
        session.rollback();
      }
      ActiveMQMessage dead = (ActiveMQMessage) dlq.receive(Jms.COMES_MS);
      s.equal("queue://ActiveMQ.DLQ", dead.getJMSDestination().toString(), "destination");
      s.equal("queue://" + mark, dead.getOriginalDestination().toString(), "original destination");
      s.equal(expiration, dead.getLongProperty("originalExpiration"), "original expiration");
      s.equal(0L, dead.getJMSExpiration(), "expiration");
      s.equal(8, dead.getJMSPriority(), "priority");
      s.equal("correlation", dead.getJMSCorrelationID(), "correlation");
      s.equal("type", dead.getJMSType(), "type");
      s.equal("queue://reply", dead.getJMSReplyTo().toString(), "reply to");
      s.equal(false, dead.getJMSRedelivered(), "redelivered");
      s.equal(m.getJMSMessageID(), dead.getJMSMessageID(), "message id");
    }
    c.close();
    s.ok("headers of dead letters");
  }
}
