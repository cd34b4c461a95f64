package troika.openwire;

import java.util.List;
import javax.jms.*;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQConnectionFactory;
import troika.Scenario;

/** Topics: fan-out, wildcards, composites, noLocal, durable subscriptions. */
public final class Topics {
  public static void main(String[] argv) {
    Scenario.run(
        argv,
        s -> {
          wildcards(s);
          composite(s);
          noLocal(s);
          durable(s);
          durableSelector(s);
          retained(s);
          durableRetroactive(s);
        });
  }

  static void wildcards(Scenario s) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    String root = s.name("wild");
    MessageConsumer exact = session.createConsumer(session.createTopic(root + ".a.b"));
    MessageConsumer one = session.createConsumer(session.createTopic(root + ".*.b"));
    MessageConsumer many = session.createConsumer(session.createTopic(root + ".>"));
    MessageProducer producer = session.createProducer(null);
    for (String name : List.of(".a.b", ".c.b", ".a.b.c", ".x", "")) {
      producer.send(session.createTopic(root + name), session.createTextMessage(name));
    }
    s.equal(List.of(".a.b"), Jms.take(exact, 1), "exact");
    Jms.nothing(s, exact, "exact: more");
    s.equal(List.of(".a.b", ".c.b"), Jms.take(one, 2), "one level");
    Jms.nothing(s, one, "one level: more");
    s.equal(List.of(".a.b", ".c.b", ".a.b.c", ".x", ""), Jms.take(many, 5), "all levels");
    c.close();
    s.ok("topic wildcards");
  }

  static void composite(Scenario s) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    String q1 = s.name("comp.q1");
    String q2 = s.name("comp.q2");
    String t = s.name("comp.t");
    MessageConsumer topic = session.createConsumer(session.createTopic(t));
    Queue all = session.createQueue(q1 + "," + q2 + ",topic://" + t);
    Jms.send(session, session.createProducer(all), "everywhere");
    s.equal("everywhere", Jms.text(topic.receive(Jms.COMES_MS)), "topic part");
    MessageConsumer both = session.createConsumer(session.createQueue(q1 + "," + q2));
    s.equal(List.of("everywhere", "everywhere"), Jms.take(both, 2), "both queues by one consumer");
    Jms.nothing(s, both, "composite consumer: more");
    MessageConsumer wild = session.createConsumer(session.createQueue(s.name("comp.q") + "1"));
    wild.close();
    c.close();
    s.ok("composite destinations");
  }

  static void noLocal(Scenario s) throws Exception {
    ActiveMQConnection mine = Jms.open(s);
    ActiveMQConnection theirs = Jms.open(s);
    Session session = mine.createSession(false, Session.AUTO_ACKNOWLEDGE);
    Session other = theirs.createSession(false, Session.AUTO_ACKNOWLEDGE);
    Topic topic = session.createTopic(s.name("nolocal"));
    MessageConsumer consumer = session.createConsumer(topic, null, true);
    Jms.send(session, session.createProducer(topic), "own");
    Jms.send(other, other.createProducer(topic), "foreign");
    s.equal("foreign", Jms.text(consumer.receive(Jms.COMES_MS)), "noLocal");
    mine.close();
    theirs.close();
    s.ok("noLocal");
  }

  static Connection client(Scenario s, String id) throws Exception {
    Connection c = new ActiveMQConnectionFactory(s.openwireUrl()).createConnection();
    c.setClientID(id);
    c.start();
    return c;
  }

  static void durable(Scenario s) throws Exception {
    String id = s.name("durable-client");
    Connection c = client(s, id);
    Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    Topic topic = session.createTopic(s.name("durable.topic"));
    TopicSubscriber subscriber = session.createDurableSubscriber(topic, "sub");
    MessageProducer producer = session.createProducer(topic);
    Jms.send(session, producer, "online");
    s.equal("online", Jms.text(subscriber.receive(Jms.COMES_MS)), "online");
    try (AutoCloseable twin = client(s, id)::close) {
      throw new AssertionError("a second connection took the same client id");
    } catch (InvalidClientIDException e) {
      s.check(e.getMessage().contains("already connected from"), e.getMessage());
    }
    try {
      session.unsubscribe("sub");
      throw new AssertionError("an active durable subscription was removed");
    } catch (JMSException e) {
      s.ok("active subscription is kept: " + e.getMessage());
    }
    c.close();

    ActiveMQConnection sender = Jms.open(s);
    Session ss = sender.createSession(false, Session.AUTO_ACKNOWLEDGE);
    Jms.send(ss, ss.createProducer(topic), "off1", "off2");
    c = client(s, id);
    session = c.createSession(false, Session.CLIENT_ACKNOWLEDGE);
    subscriber = session.createDurableSubscriber(topic, "sub");
    s.equal(List.of("off1", "off2"), Jms.take(subscriber, 2), "while offline");
    c.close();
    c = client(s, id);
    session = c.createSession(false, Session.CLIENT_ACKNOWLEDGE);
    subscriber = session.createDurableSubscriber(topic, "sub");
    s.equal("off1", Jms.text(subscriber.receive(Jms.COMES_MS)), "unacknowledged comes again");
    Message off2 = subscriber.receive(Jms.COMES_MS);
    s.equal("off2", Jms.text(off2), "unacknowledged, in order");
    off2.acknowledge();
    subscriber.close();
    session.unsubscribe("sub");
    Jms.send(ss, ss.createProducer(topic), "after");
    subscriber = session.createDurableSubscriber(topic, "sub");
    Jms.nothing(s, subscriber, "a new subscription starts empty");
    try {
      session.unsubscribe("never-there");
      throw new AssertionError("an unknown subscription was removed");
    } catch (InvalidDestinationException e) {
      s.ok("unknown subscription: " + e.getMessage());
    }
    c.close();
    sender.close();
    s.ok("durable subscription");
  }

  static void durableSelector(Scenario s) throws Exception {
    String id = s.name("durable-selector");
    Connection c = client(s, id);
    Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    Topic topic = session.createTopic(s.name("durable.selected"));
    session.createDurableSubscriber(topic, "sub", "n > 1", false);
    c.close();
    ActiveMQConnection sender = Jms.open(s);
    Session ss = sender.createSession(false, Session.AUTO_ACKNOWLEDGE);
    MessageProducer producer = ss.createProducer(topic);
    for (int n = 0; n < 4; n++) {
      TextMessage m = ss.createTextMessage("n" + n);
      m.setIntProperty("n", n);
      producer.send(m);
    }
    c = client(s, id);
    session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    TopicSubscriber subscriber = session.createDurableSubscriber(topic, "sub", "n > 1", false);
    s.equal(List.of("n2", "n3"), Jms.take(subscriber, 2), "selected while offline");
    Jms.nothing(s, subscriber, "selected: more");
    c.close();
    sender.close();
    s.ok("durable subscription with a selector");
  }

  /** Without configuration a retroactive consumer gets what was marked, and nothing else. */
  static void retained(Scenario s) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    String name = s.name("retained");
    Topic topic = session.createTopic(name);
    MessageProducer producer = session.createProducer(topic);
    Jms.send(session, producer, "before");
    Topic retroactive = session.createTopic(name + "?consumer.retroactive=true");
    Jms.nothing(s, session.createConsumer(retroactive), "what was not marked");
    TextMessage marked = session.createTextMessage("marked");
    marked.setBooleanProperty("ActiveMQ.Retain", true);
    producer.send(marked);
    Jms.send(session, producer, "after");
    Jms.nothing(s, session.createConsumer(topic), "an ordinary consumer");
    Message again = session.createConsumer(retroactive).receive(Jms.COMES_MS);
    s.equal("marked", Jms.text(again), "the marked one");
    s.check(again.getBooleanProperty("ActiveMQ.Retained"), "it says that it was retained");
    c.close();
    s.ok("retained message");
  }

  static void durableRetroactive(Scenario s) throws Exception {
    String name = s.name("recovered");
    Connection first = client(s, s.name("recovered-first"));
    Session fs = first.createSession(false, Session.AUTO_ACKNOWLEDGE);
    fs.createDurableSubscriber(fs.createTopic(name), "sub");
    first.close();
    Connection second = client(s, s.name("recovered-second"));
    Session ss = second.createSession(false, Session.AUTO_ACKNOWLEDGE);
    Jms.send(ss, ss.createProducer(ss.createTopic(name)), "m0", "m1");
    Topic retroactive = ss.createTopic(name + "?consumer.retroactive=true");
    TopicSubscriber subscriber = ss.createDurableSubscriber(retroactive, "sub");
    s.equal(List.of("m0", "m1"), Jms.take(subscriber, 2), "what the first still holds");
    MessageConsumer plain = ss.createDurableSubscriber(ss.createTopic(name), "plain");
    Jms.nothing(s, plain, "an ordinary subscription");
    second.close();
    s.ok("retroactive durable subscription");
  }
}
