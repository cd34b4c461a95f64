package troika.rocketmq;

import java.util.*;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.*;
import org.apache.rocketmq.common.message.*;
import troika.Scenario;

/** Half messages: committed and rolled back at once, and decided by the check-back. */
public final class Transactions {
  public static void main(String[] argv) {
    Scenario.run(argv, Transactions::body);
  }

  static void body(Scenario s) throws Exception {
    String topic = s.name("TransactionTest");
    Map<String, Integer> checks = new ConcurrentHashMap<>();
    TransactionMQProducer p = new TransactionMQProducer(s.name("PG_tx"));
    p.setNamesrvAddr(s.nameserver());
    p.setTransactionListener(
        new TransactionListener() {
          public LocalTransactionState executeLocalTransaction(Message m, Object arg) {
            return (LocalTransactionState) arg;
          }

          public LocalTransactionState checkLocalTransaction(MessageExt m) {
            String text = Rocket.text(m);
            checks.merge(text, 1, Integer::sum);
            // A decision that is still on its way may be asked for as well.
            return text.endsWith("commit")
                ? LocalTransactionState.COMMIT_MESSAGE
                : LocalTransactionState.ROLLBACK_MESSAGE;
          }
        });
    // The broker can check back only with a producer that it knows by a heartbeat.
    p.setHeartbeatBrokerInterval(1000);
    p.start();
    DefaultMQProducer plain = Rocket.producer(s, "PG_tx_plain");
    plain.send(Rocket.message(topic, "T", "plain"));
    DefaultMQPushConsumer c = Rocket.consumer(s, "CG_tx", "one");
    c.subscribe(topic, "T");
    Queue<MessageExt> seen = Rocket.collect(c);
    c.start();
    s.await("the plain one", 30, () -> seen.size() == 1);
    seen.clear();

    send(s, p, topic, "rollback", LocalTransactionState.ROLLBACK_MESSAGE);
    send(s, p, topic, "checked-rollback", LocalTransactionState.UNKNOW);
    send(s, p, topic, "checked-commit", LocalTransactionState.UNKNOW);
    String id = send(s, p, topic, "commit", LocalTransactionState.COMMIT_MESSAGE);
    s.await("the committed one", 10, () -> seen.size() >= 1);
    MessageExt m = seen.peek();
    s.equal("commit", Rocket.text(m), "committed");
    s.equal(id, m.getMsgId(), "message id");
    s.equal(topic, m.getTopic(), "topic");
    s.equal("kept", m.getUserProperty("own"), "user property");
    s.ok("commit");
    // Six seconds of immunity, then the scan that follows.
    s.await(
        "check-back of both",
        60,
        () -> checks.containsKey("checked-commit") && checks.containsKey("checked-rollback"));
    s.await("the one committed by a check", 15, () -> seen.size() >= 2);
    Thread.sleep(500);
    s.equal(List.of("checked-commit", "commit"), Rocket.sortedTexts(seen), "what became visible");
    c.shutdown();
    p.shutdown();
    s.ok("check-back");
  }

  static String send(Scenario s, TransactionMQProducer p, String topic, String text, LocalTransactionState state)
      throws Exception {
    Message m = Rocket.message(topic, "T", text);
    m.putUserProperty("own", "kept");
    TransactionSendResult r = p.sendMessageInTransaction(m, state);
    s.equal(SendStatus.SEND_OK, r.getSendStatus(), "half message");
    return r.getMsgId();
  }
}
