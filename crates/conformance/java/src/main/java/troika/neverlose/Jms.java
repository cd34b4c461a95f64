package troika.neverlose;

import java.util.*;
import java.util.concurrent.atomic.AtomicLong;
import javax.jms.*;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQConnectionFactory;
import troika.Scenario;

/** JMS load: synchronous persistent sends with answered acknowledgements, and transactions on both sides. */
public final class Jms {
  private static final int PER_TRANSACTION = 10;

  public static void main(String[] argv) {
    Scenario.run(argv, s -> {
      String queue = s.name("neverlose.jms");
      String tx = s.name("neverlose.jmstx");
      AtomicLong next = new AtomicLong(1);
      AtomicLong nextTx = new AtomicLong(1);
      Record.roles(
          s,
          Map.of(
              "jms.published", r -> send(s, queue, next, r),
              "jmstx.published", r -> sendTransacted(s, tx, nextTx, r)),
          Map.of(
              "jms.consumed", r -> consume(s, queue, r),
              "jmstx.consumed", r -> consumeTransacted(s, tx, r)));
    });
  }

  static ActiveMQConnection connect(Scenario s) throws Exception {
    ActiveMQConnection c =
        (ActiveMQConnection) new ActiveMQConnectionFactory(s.openwireUrl()).createConnection();
    // An acknowledgement then waits for its Response.
    c.setSendAcksAsync(false);
    c.setCloseTimeout(1000);
    try {
      c.start();
    } catch (JMSException e) {
      c.close();
      throw e;
    }
    return c;
  }

  static void send(Scenario s, String name, AtomicLong next, Record record) throws Exception {
    ActiveMQConnection c = connect(s);
    try {
      Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
      MessageProducer producer = session.createProducer(session.createQueue(name));
      while (!Record.stopped()) {
        long id = next.getAndIncrement();
        producer.send(session.createTextMessage(Record.text(s, id)));
        record.write("c " + id);
        Record.pace(id, 20);
      }
    } finally {
      c.close();
    }
  }

  static String delivery(Message m) throws JMSException {
    return "d " + ((TextMessage) m).getText().trim() + (m.getJMSRedelivered() ? " 1" : " 0");
  }

  static void consume(Scenario s, String name, Record record) throws Exception {
    ActiveMQConnection c = connect(s);
    try {
      Session session = c.createSession(false, Session.CLIENT_ACKNOWLEDGE);
      record.write("s");
      MessageConsumer consumer = session.createConsumer(session.createQueue(name));
      while (!Record.stopped()) {
        List<String> held = new ArrayList<>();
        Message last = null;
        while (held.size() < 20) {
          Message m = consumer.receive(held.isEmpty() && Record.drains(s) ? Record.QUIET_MS : 200);
          if (m == null) break;
          record.write(delivery(m));
          held.add(((TextMessage) m).getText().trim());
          last = m;
        }
        if (last != null) last.acknowledge();
        for (String id : held) record.write("a " + id);
        if (Record.drains(s) && held.isEmpty()) return;
      }
    } finally {
      c.close();
    }
  }

  static void sendTransacted(Scenario s, String name, AtomicLong next, Record record) throws Exception {
    ActiveMQConnection c = connect(s);
    try {
      Session session = c.createSession(true, Session.SESSION_TRANSACTED);
      MessageProducer producer = session.createProducer(session.createQueue(name));
      while (!Record.stopped()) {
        long first = next.getAndAdd(PER_TRANSACTION);
        long tx = first / PER_TRANSACTION;
        for (long id = first; id < first + PER_TRANSACTION; id++) {
          producer.send(session.createTextMessage(Record.text(s, id)));
        }
        if (tx % 5 == 4) {
          record.write("r " + tx + " " + first + " " + PER_TRANSACTION);
          session.rollback();
        } else {
          record.write("t " + tx + " " + first + " " + PER_TRANSACTION);
          session.commit();
          record.write("C " + tx);
        }
        Record.pace(tx, 2);
      }
    } finally {
      c.close();
    }
  }

  static void consumeTransacted(Scenario s, String name, Record record) throws Exception {
    ActiveMQConnection c = connect(s);
    try {
      Session session = c.createSession(true, Session.SESSION_TRANSACTED);
      record.write("s");
      MessageConsumer consumer = session.createConsumer(session.createQueue(name));
      while (!Record.stopped()) {
        List<String> held = new ArrayList<>();
        while (held.size() < 15) {
          Message m = consumer.receive(held.isEmpty() && Record.drains(s) ? Record.QUIET_MS : 200);
          if (m == null) break;
          record.write(delivery(m));
          held.add(((TextMessage) m).getText().trim());
        }
        session.commit();
        for (String id : held) record.write("a " + id);
        if (Record.drains(s) && held.isEmpty()) return;
      }
    } finally {
      c.close();
    }
  }
}
