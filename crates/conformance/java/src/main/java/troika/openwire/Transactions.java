package troika.openwire;

import java.util.List;
import javax.jms.*;
import org.apache.activemq.ActiveMQConnection;
import troika.Scenario;

/** Local transactions: commit, rollback with redelivery, poison to ActiveMQ.DLQ, transacted topics. */
public final class Transactions {
  public static void main(String[] argv) {
    Scenario.run(
        argv,
        s -> {
          sends(s);
          receives(s);
          closeRollsBack(s);
          poison(s);
          topicSend(s);
        });
  }

  static void sends(Scenario s) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    Session tx = c.createSession(true, Session.SESSION_TRANSACTED);
    Queue queue = tx.createQueue(s.name("tx.sends"));
    MessageProducer producer = tx.createProducer(queue);
    MessageConsumer consumer =
        c.createSession(false, Session.AUTO_ACKNOWLEDGE).createConsumer(queue);
    Jms.send(tx, producer, "a", "b");
    Jms.nothing(s, consumer, "visible before the commit");
    tx.commit();
    s.equal(List.of("a", "b"), Jms.take(consumer, 2), "after the commit");
    Jms.send(tx, producer, "c");
    tx.rollback();
    Jms.nothing(s, consumer, "visible after a rollback");
    c.close();
    s.ok("transacted sends");
  }

  static void receives(Scenario s) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    c.getRedeliveryPolicy().setInitialRedeliveryDelay(0);
    c.getRedeliveryPolicy().setRedeliveryDelay(0);
    Session plain = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    Queue queue = plain.createQueue(s.name("tx.receives"));
    Jms.send(plain, plain.createProducer(queue), "a", "b", "c");
    Session tx = c.createSession(true, Session.SESSION_TRANSACTED);
    MessageConsumer consumer = tx.createConsumer(queue);
    s.equal(List.of("a", "b"), Jms.take(consumer, 2), "first round");
    tx.rollback();
    Message a = consumer.receive(Jms.COMES_MS);
    s.equal("a", Jms.text(a), "rolled back comes first");
    s.equal(true, a.getJMSRedelivered(), "redelivered after rollback");
    s.equal(2, a.getIntProperty("JMSXDeliveryCount"), "delivery count after rollback");
    s.equal(List.of("b", "c"), Jms.take(consumer, 2), "order after rollback");
    tx.commit();
    Jms.nothing(s, consumer, "after commit");
    c.close();
    s.ok("transacted receives");
  }

  static void closeRollsBack(Scenario s) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    Session plain = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    Queue in = plain.createQueue(s.name("tx.in"));
    Queue out = plain.createQueue(s.name("tx.out"));
    Jms.send(plain, plain.createProducer(in), "a", "b");
    ActiveMQConnection worker = Jms.open(s);
    Session tx = worker.createSession(true, Session.SESSION_TRANSACTED);
    s.equal(List.of("a", "b"), Jms.take(tx.createConsumer(in), 2), "worker");
    Jms.send(tx, tx.createProducer(out), "result");
    worker.close();
    MessageConsumer results = plain.createConsumer(out);
    Jms.nothing(s, results, "result of an unfinished transaction");
    MessageConsumer again = plain.createConsumer(in);
    Message a = again.receive(Jms.COMES_MS);
    s.equal("a", Jms.text(a), "input returned");
    s.equal(true, a.getJMSRedelivered(), "input was handed out before");
    s.equal("b", Jms.text(again.receive(Jms.COMES_MS)), "input order");
    c.close();
    s.ok("close rolls back");
  }

  static void poison(Scenario s) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    c.getRedeliveryPolicy().setInitialRedeliveryDelay(0);
    c.getRedeliveryPolicy().setRedeliveryDelay(0);
    c.getRedeliveryPolicy().setMaximumRedeliveries(2);
    Session plain = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    MessageConsumer dlq = plain.createConsumer(plain.createQueue("ActiveMQ.DLQ"));
    while (dlq.receive(Jms.ABSENT_MS) != null) {}
    Queue queue = plain.createQueue(s.name("tx.poison"));
    Jms.send(plain, plain.createProducer(queue), "bad", "good");
    Session tx = c.createSession(true, Session.SESSION_TRANSACTED);
    MessageConsumer consumer = tx.createConsumer(queue);
    for (int attempt = 1; attempt <= 3; attempt++) {
      Message m = consumer.receive(Jms.COMES_MS);
      s.equal("bad", Jms.text(m), "attempt " + attempt);
      s.equal(attempt, m.getIntProperty("JMSXDeliveryCount"), "delivery count");
      tx.rollback();
    }
    s.equal("good", Jms.text(consumer.receive(Jms.COMES_MS)), "the queue goes on");
    tx.commit();
    Message dead = dlq.receive(Jms.COMES_MS);
    s.equal("bad", Jms.text(dead), "dead letter");
    String cause = dead.getStringProperty("dlqDeliveryFailureCause");
    s.check(cause != null && cause.contains("Delivery[3] exceeds redelivery policy limit"), "cause: " + cause);
    s.equal(
        "queue://" + s.name("tx.poison"),
        ((org.apache.activemq.command.ActiveMQMessage) dead).getOriginalDestination().getQualifiedName(),
        "original destination");
    c.close();
    s.ok("poison goes to ActiveMQ.DLQ");
  }

  static void topicSend(Scenario s) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    Session plain = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    Topic topic = plain.createTopic(s.name("tx.topic"));
    MessageConsumer consumer = plain.createConsumer(topic);
    Session tx = c.createSession(true, Session.SESSION_TRANSACTED);
    Jms.send(tx, tx.createProducer(topic), "t1");
    Jms.nothing(s, consumer, "topic before commit");
    tx.commit();
    s.equal("t1", Jms.text(consumer.receive(Jms.COMES_MS)), "topic after commit");
    c.close();
    s.ok("transacted topic send");
  }
}
