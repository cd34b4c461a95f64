package troika.openwire;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import javax.jms.*;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQMessageProducer;
import troika.Scenario;

/** Selectors, browsing, prefetch, expiry, wildcard queues, sharing, exclusive consumers. */
public final class QueueFeatures {
  public static void main(String[] argv) {
    Scenario.run(
        argv,
        s -> {
          selectors(s);
          browser(s);
          prefetch(s);
          largerThanWindow(s);
          expiry(s);
          wildcardQueue(s);
          sharing(s);
          exclusive(s);
          nonPersistent(s);
          listener(s);
        });
  }

  static void selectors(Scenario s) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    Queue queue = session.createQueue(s.name("selected"));
    MessageProducer producer = session.createProducer(queue);
    String[] colours = {"red", "blue", "red", "green", null};
    for (int i = 0; i < colours.length; i++) {
      TextMessage m = session.createTextMessage("m" + i);
      if (colours[i] != null) m.setStringProperty("colour", colours[i]);
      m.setIntProperty("i", i);
      producer.send(m);
    }
    MessageConsumer red = session.createConsumer(queue, "colour = 'red' AND i >= 1");
    s.equal(List.of("m2"), Jms.take(red, 1), "red from 1");
    Jms.nothing(s, red, "red: more");
    red.close();
    MessageConsumer like = session.createConsumer(queue, "colour LIKE 'gr%' OR colour IN ('blue','x')");
    s.equal(List.of("m1", "m3"), Jms.take(like, 2), "like and in");
    like.close();
    MessageConsumer absent = session.createConsumer(queue, "colour IS NULL AND i BETWEEN 3 AND 2 * 2");
    s.equal(List.of("m4"), Jms.take(absent, 1), "null, between, arithmetic");
    absent.close();
    MessageConsumer rest = session.createConsumer(queue);
    s.equal(List.of("m0"), Jms.take(rest, 1), "the rest");
    try {
      session.createConsumer(queue, "colour = ");
      throw new AssertionError("a broken selector was accepted");
    } catch (InvalidSelectorException e) {
      s.ok("broken selector: " + e.getMessage());
    }
    c.close();
    s.ok("selectors");
  }

  static void browser(Scenario s) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    Queue queue = session.createQueue(s.name("browsed"));
    s.equal(0, Collections.list(session.createBrowser(queue).getEnumeration()).size(), "empty queue");
    Jms.send(session, session.createProducer(queue), "a", "b", "c");
    for (int round = 0; round < 2; round++) {
      List<String> seen = new ArrayList<>();
      QueueBrowser browser = session.createBrowser(queue);
      for (Object m : Collections.list(browser.getEnumeration())) seen.add(Jms.text((Message) m));
      browser.close();
      s.equal(List.of("a", "b", "c"), seen, "browse " + round);
    }
    MessageConsumer consumer = session.createConsumer(queue);
    s.equal(List.of("a", "b", "c"), Jms.take(consumer, 3), "still there");
    c.close();
    s.ok("browser");
  }

  static void prefetch(Scenario s) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    for (int window : new int[] {0, 1}) {
      String name = s.name("prefetch" + window);
      Queue queue = session.createQueue(name + "?consumer.prefetchSize=" + window);
      MessageConsumer slow = session.createConsumer(queue);
      Jms.send(session, session.createProducer(session.createQueue(name)), "a", "b", "c");
      MessageConsumer other = session.createConsumer(queue);
      if (window == 0) {
        s.equal("a", Jms.text(slow.receive(Jms.COMES_MS)), "pulled");
        s.equal("b", Jms.text(other.receive(Jms.COMES_MS)), "pulled by the other");
        s.equal("c", Jms.text(slow.receiveNoWait()), "pulled at once");
        s.equal(null, Jms.text(slow.receiveNoWait()), "nothing left, at once");
        s.equal(null, Jms.text(slow.receive(Jms.ABSENT_MS)), "nothing left, after the delay");
      } else {
        s.equal("b", Jms.text(other.receive(Jms.COMES_MS)), "the slow one holds only one");
        s.equal("a", Jms.text(slow.receive(Jms.COMES_MS)), "the slow one's");
      }
      slow.close();
      other.close();
    }
    c.close();
    s.ok("prefetch 0 and 1");
  }

  /** A batch larger than the window needs DELIVERED acks to widen it. */
  static void largerThanWindow(Scenario s) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    Session session = c.createSession(true, Session.SESSION_TRANSACTED);
    Queue queue = session.createQueue(s.name("window") + "?consumer.prefetchSize=10");
    MessageProducer producer = session.createProducer(session.createQueue(s.name("window")));
    for (int i = 0; i < 100; i++) Jms.send(session, producer, "m" + i);
    session.commit();
    MessageConsumer consumer = session.createConsumer(queue);
    for (int i = 0; i < 100; i++) s.equal("m" + i, Jms.text(consumer.receive(Jms.COMES_MS)), "in order");
    session.commit();
    Session client = c.createSession(false, Session.CLIENT_ACKNOWLEDGE);
    MessageProducer again = client.createProducer(client.createQueue(s.name("window")));
    for (int i = 0; i < 100; i++) Jms.send(client, again, "n" + i);
    consumer.close();
    MessageConsumer acking = client.createConsumer(queue);
    Message last = null;
    for (int i = 0; i < 100; i++) {
      last = acking.receive(Jms.COMES_MS);
      s.equal("n" + i, Jms.text(last), "in order, client acknowledge");
    }
    last.acknowledge();
    Jms.nothing(s, acking, "all were acknowledged");
    c.close();
    s.ok("batches larger than the window");
  }

  static void expiry(Scenario s) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    MessageConsumer dlq = session.createConsumer(session.createQueue("ActiveMQ.DLQ"));
    while (dlq.receive(Jms.ABSENT_MS) != null) {}
    Queue queue = session.createQueue(s.name("expiry"));
    MessageProducer producer = session.createProducer(queue);
    producer.send(session.createTextMessage("short"), DeliveryMode.PERSISTENT, 7, 300);
    producer.send(session.createTextMessage("long"), DeliveryMode.PERSISTENT, 7, 60_000);
    Thread.sleep(600);
    MessageConsumer consumer = session.createConsumer(queue);
    Message m = consumer.receive(Jms.COMES_MS);
    s.equal("long", Jms.text(m), "the expired one is not delivered");
    s.equal(7, m.getJMSPriority(), "priority travels");
    s.check(m.getJMSExpiration() > System.currentTimeMillis(), "expiration travels");
    Message dead = dlq.receive(Jms.COMES_MS);
    s.equal("short", Jms.text(dead), "expired persistent message");
    s.equal(0L, dead.getJMSExpiration(), "expiration cleared");
    c.close();
    s.ok("expiry");
  }

  static void wildcardQueue(Scenario s) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    String root = s.name("wq");
    Jms.send(session, session.createProducer(session.createQueue(root + ".old")), "old");
    MessageConsumer all = session.createConsumer(session.createQueue(root + ".>"));
    Message old = all.receive(Jms.COMES_MS);
    s.equal("old", Jms.text(old), "existing queue");
    s.equal("queue://" + root + ".old", old.getJMSDestination().toString(), "concrete name");
    Jms.send(session, session.createProducer(session.createQueue(root + ".new")), "new");
    s.equal("new", Jms.text(all.receive(Jms.COMES_MS)), "future queue");
    c.close();
    s.ok("wildcard queue consumer");
  }

  static void sharing(Scenario s) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    Queue queue = session.createQueue(s.name("shared") + "?consumer.prefetchSize=5");
    MessageConsumer one = session.createConsumer(queue);
    MessageConsumer two = session.createConsumer(queue);
    MessageProducer producer = session.createProducer(session.createQueue(s.name("shared")));
    for (int i = 0; i < 10; i++) Jms.send(session, producer, "m" + i);
    List<String> all = new ArrayList<>(Jms.take(one, 5));
    all.addAll(Jms.take(two, 5));
    s.check(!all.contains(null), "each consumer gets its share: " + all);
    Collections.sort(all);
    s.equal(List.of("m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9"), all, "each once");
    c.close();
    s.ok("two consumers share a queue");
  }

  static void exclusive(Scenario s) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    String name = s.name("exclusive");
    MessageConsumer owner = session.createConsumer(session.createQueue(name + "?consumer.exclusive=true"));
    MessageConsumer next = session.createConsumer(session.createQueue(name + "?consumer.exclusive=true"));
    MessageProducer producer = session.createProducer(session.createQueue(name));
    Jms.send(session, producer, "a", "b", "c");
    s.equal(List.of("a", "b", "c"), Jms.take(owner, 3), "the owner gets all");
    owner.close();
    Jms.send(session, producer, "d");
    s.equal(List.of("d"), Jms.take(next, 1), "then the next");
    c.close();
    s.ok("exclusive consumer");
  }

  static void nonPersistent(Scenario s) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    c.setUseAsyncSend(true);
    c.setProducerWindowSize(10_000);
    Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    Queue queue = session.createQueue(s.name("nonpersistent"));
    ActiveMQMessageProducer producer = (ActiveMQMessageProducer) session.createProducer(queue);
    producer.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
    MessageConsumer consumer = session.createConsumer(queue);
    String body = "x".repeat(500);
    for (int i = 0; i < 200; i++) Jms.send(session, producer, i + body);
    for (int i = 0; i < 200; i++) s.equal(i + body, Jms.text(consumer.receive(Jms.COMES_MS)), "in order");
    c.close();
    s.ok("asynchronous sends within a producer window");
  }

  static void listener(Scenario s) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    Queue queue = session.createQueue(s.name("listened"));
    List<String> seen = Collections.synchronizedList(new ArrayList<>());
    session
        .createConsumer(queue)
        .setMessageListener(
            m -> {
              try {
                seen.add(Jms.text(m) + (m.getJMSRedelivered() ? "!" : ""));
              } catch (JMSException e) {
                seen.add(e.toString());
              }
              if (seen.size() == 1) throw new java.lang.IllegalStateException("once more, please");
            });
    Session other = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    Jms.send(other, other.createProducer(queue), "a", "b");
    s.await("redelivery after a throwing listener", 10, () -> seen.size() == 3);
    s.equal(List.of("a", "a!", "b"), seen, "listener saw");
    c.close();
    s.ok("message listener");
  }
}
