package troika.openwire;

import java.util.List;
import javax.jms.*;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQSession;
import troika.Scenario;

/** What each acknowledgement mode settles, seen by a second connection. */
public final class AckModes {
  public static void main(String[] argv) {
    Scenario.run(
        argv,
        s -> {
          settled(s, "auto", Session.AUTO_ACKNOWLEDGE);
          settled(s, "dups", Session.DUPS_OK_ACKNOWLEDGE);
          client(s);
          individual(s);
          sessionRecover(s);
        });
  }

  /** In AUTO and DUPS_OK whatever receive() returned is gone after a close; the rest stays, in order. */
  static void settled(Scenario s, String name, int mode) throws Exception {
    Queue queue = fill(s, name);
    ActiveMQConnection c = Jms.open(s);
    MessageConsumer consumer = c.createSession(false, mode).createConsumer(queue);
    s.equal(List.of("m0", "m1", "m2"), Jms.take(consumer, 3), name + ": first three");
    c.close();
    s.equal(List.of("m3", "m4", "m5"), rest(s, queue, 3), name + ": the rest");
    s.ok(name + " acknowledge");
  }

  static void client(Scenario s) throws Exception {
    Queue queue = fill(s, "client");
    ActiveMQConnection c = Jms.open(s);
    MessageConsumer consumer =
        c.createSession(false, Session.CLIENT_ACKNOWLEDGE).createConsumer(queue);
    Jms.take(consumer, 2);
    consumer.receive(Jms.COMES_MS).acknowledge();
    s.equal(List.of("m3"), Jms.take(consumer, 1), "client: after acknowledge");
    c.close();
    ActiveMQConnection again = Jms.open(s);
    MessageConsumer other =
        again.createSession(false, Session.AUTO_ACKNOWLEDGE).createConsumer(queue);
    Message m3 = other.receive(Jms.COMES_MS);
    s.equal("m3", Jms.text(m3), "client: the unacknowledged one comes again");
    s.equal(true, m3.getJMSRedelivered(), "client: m3 is redelivered");
    Message m4 = other.receive(Jms.COMES_MS);
    s.equal("m4", Jms.text(m4), "client: order");
    s.equal(false, m4.getJMSRedelivered(), "client: m4 was prefetched but never seen");
    again.close();
    s.ok("client acknowledge");
  }

  static void individual(Scenario s) throws Exception {
    Queue queue = fill(s, "individual");
    ActiveMQConnection c = Jms.open(s);
    MessageConsumer consumer =
        c.createSession(false, ActiveMQSession.INDIVIDUAL_ACKNOWLEDGE).createConsumer(queue);
    Message[] got = new Message[6];
    for (int i = 0; i < 6; i++) got[i] = consumer.receive(Jms.COMES_MS);
    got[1].acknowledge();
    got[4].acknowledge();
    c.close();
    s.equal(List.of("m0", "m2", "m3", "m5"), rest(s, queue, 4), "individual: the rest");
    s.ok("individual acknowledge");
  }

  static void sessionRecover(Scenario s) throws Exception {
    Queue queue = fill(s, "recover");
    ActiveMQConnection c = Jms.open(s);
    c.getRedeliveryPolicy().setInitialRedeliveryDelay(0);
    Session session = c.createSession(false, Session.CLIENT_ACKNOWLEDGE);
    MessageConsumer consumer = session.createConsumer(queue);
    Jms.take(consumer, 2);
    session.recover();
    Message again = consumer.receive(Jms.COMES_MS);
    s.equal("m0", Jms.text(again), "recover: starts again");
    s.equal(true, again.getJMSRedelivered(), "recover: redelivered");
    s.equal(2, again.getIntProperty("JMSXDeliveryCount"), "recover: delivery count");
    s.equal(List.of("m1", "m2"), Jms.take(consumer, 2), "recover: order");
    c.close();
    s.ok("session recover");
  }

  static Queue fill(Scenario s, String name) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    Queue queue = session.createQueue(s.name("ack." + name));
    Jms.send(session, session.createProducer(queue), "m0", "m1", "m2", "m3", "m4", "m5");
    c.close();
    return queue;
  }

  static List<String> rest(Scenario s, Queue queue, int count) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    MessageConsumer consumer =
        c.createSession(false, Session.AUTO_ACKNOWLEDGE).createConsumer(queue);
    List<String> texts = Jms.take(consumer, count);
    Jms.nothing(s, consumer, queue + ": more than expected");
    c.close();
    return texts;
  }
}
