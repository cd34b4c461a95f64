package troika.rocketmq;

import java.util.*;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.*;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.MessageExt;
import troika.Scenario;

/** RECONSUME_LATER brings a message back after 10 s; past the maximum it lies in %DLQ%group. */
public final class Retry {
  public static void main(String[] argv) {
    Scenario.run(argv, Retry::body);
  }

  static void body(Scenario s) throws Exception {
    String topic = s.name("RetryTest");
    String group = s.name("CG_retry");
    DefaultMQProducer p = Rocket.producer(s, "PG_retry");
    p.send(Rocket.message(topic, "T", "bad"));
    p.send(Rocket.message(topic, "T", "soon"));
    p.send(Rocket.message(topic, "T", "good"));
    Queue<MessageExt> bad = new ConcurrentLinkedQueue<>();
    Queue<MessageExt> soon = new ConcurrentLinkedQueue<>();
    Queue<MessageExt> good = new ConcurrentLinkedQueue<>();
    long[] times = new long[2];
    DefaultMQPushConsumer c = Rocket.consumer(s, "CG_retry", "one");
    c.setMaxReconsumeTimes(1);
    c.setConsumeMessageBatchMaxSize(1);
    c.subscribe(topic, "T");
    c.registerMessageListener(
        (MessageListenerConcurrently)
            (messages, context) -> {
              MessageExt m = messages.get(0);
              if (Rocket.text(m).equals("bad")) {
                times[Math.min(bad.size(), 1)] = System.currentTimeMillis();
                bad.add(m);
                return ConsumeConcurrentlyStatus.RECONSUME_LATER;
              }
              if (Rocket.text(m).equals("soon")) {
                soon.add(m);
                // Level 1 is one second.
                context.setDelayLevelWhenNextConsume(1);
                return soon.size() == 1
                    ? ConsumeConcurrentlyStatus.RECONSUME_LATER
                    : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
              }
              good.add(m);
              return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
    c.start();
    s.await("the good one", 30, () -> good.size() == 1);
    // A client may notice its retry topic only at its next rebalance, 20 s later.
    s.await("soon again, after the chosen delay", 45, () -> soon.size() == 2);
    s.ok("a chosen delay level");
    s.await("the second attempt", 40, () -> bad.size() == 2);
    MessageExt second = bad.stream().skip(1).findFirst().get();
    s.equal(1, second.getReconsumeTimes(), "reconsume times");
    s.equal(topic, second.getTopic(), "the retry shows its own topic");
    s.equal("T", second.getTags(), "tag");
    s.equal(bad.peek().getMsgId(), second.getMsgId(), "message id stays");
    long waited = times[1] - times[0];
    s.check(waited > 8_500 && waited < 40_000, "waited " + waited + " ms for the retry of 10 s");
    s.ok("retry after 10 s");

    DefaultMQPushConsumer dead = Rocket.consumer(s, "CG_retry_dead", "two");
    dead.subscribe("%DLQ%" + group, "*");
    Queue<MessageExt> dlq = Rocket.collect(dead);
    dead.start();
    s.await("the dead letter", 30, () -> dlq.size() == 1);
    MessageExt letter = dlq.peek();
    s.equal("bad", Rocket.text(letter), "dead letter");
    s.equal(topic, letter.getProperty("RETRY_TOPIC"), "RETRY_TOPIC");
    s.equal(bad.peek().getMsgId(), letter.getMsgId(), "message id of the dead letter");
    s.equal(2, bad.size(), "no further attempt");
    dead.shutdown();
    c.shutdown();
    p.shutdown();
    s.ok("dead letter");
  }
}
