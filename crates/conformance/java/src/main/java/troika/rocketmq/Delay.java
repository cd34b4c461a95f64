package troika.rocketmq;

import java.util.*;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.*;
import org.apache.rocketmq.client.producer.*;
import org.apache.rocketmq.common.message.*;
import troika.Scenario;

/** Delay level 1 delivers after a second, level 2 after five. */
public final class Delay {
  public static void main(String[] argv) {
    Scenario.run(argv, Delay::body);
  }

  static void body(Scenario s) throws Exception {
    String topic = s.name("DelayTest");
    DefaultMQProducer p = Rocket.producer(s, "PG_delay");
    p.send(Rocket.message(topic, "T", "now"));
    Map<String, Long> arrived = new ConcurrentHashMap<>();
    Map<String, MessageExt> got = new ConcurrentHashMap<>();
    DefaultMQPushConsumer c = Rocket.consumer(s, "CG_delay", "one");
    c.subscribe(topic, "T");
    c.registerMessageListener(
        (MessageListenerConcurrently)
            (messages, context) -> {
              for (MessageExt m : messages) {
                arrived.put(Rocket.text(m), System.currentTimeMillis());
                got.put(Rocket.text(m), m);
              }
              return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
    c.start();
    s.await("the undelayed one", 30, () -> arrived.containsKey("now"));
    long sent = System.currentTimeMillis();
    String id = null;
    for (int level : new int[] {2, 1}) {
      Message m = Rocket.message(topic, "T", "level" + level);
      m.putUserProperty("own", "kept");
      m.setDelayTimeLevel(level);
      SendResult r = p.send(m);
      s.equal(SendStatus.SEND_OK, r.getSendStatus(), "status");
      id = r.getMsgId();
    }
    s.await("level 1", 10, () -> arrived.containsKey("level1"));
    s.await("level 2", 15, () -> arrived.containsKey("level2"));
    within(s, "level 1", arrived.get("level1") - sent, 950, 4000);
    within(s, "level 2", arrived.get("level2") - sent, 4900, 9000);
    MessageExt one = got.get("level1");
    s.equal("kept", one.getUserProperty("own"), "user property");
    s.equal(topic, one.getTopic(), "topic");
    s.equal(id, one.getMsgId(), "message id");
    s.equal("1", one.getProperty("DELAY"), "DELAY stays visible");
    c.shutdown();
    p.shutdown();
    s.ok("delay levels");
  }

  static void within(Scenario s, String what, long ms, long low, long high) {
    s.check(ms >= low && ms <= high, what + " came after " + ms + " ms");
  }
}
