package troika.rocketmq;

import java.util.*;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.MessageExt;
import troika.Scenario;

/** A subscription to tags gets these tags only; messages of others do not hold it up. */
public final class TagFilter {
  public static void main(String[] argv) {
    Scenario.run(argv, TagFilter::body);
  }

  static void body(Scenario s) throws Exception {
    String topic = s.name("TagTest");
    DefaultMQProducer p = Rocket.producer(s, "PG_tags");
    for (int i = 0; i < 40; i++) {
      p.send(Rocket.message(topic, new String[] {"A", "B", "C", null}[i % 4], "m" + i));
    }
    DefaultMQPushConsumer some = Rocket.consumer(s, "CG_tags_ab", "one");
    some.subscribe(topic, "A || B");
    Queue<MessageExt> ab = Rocket.collect(some);
    some.start();
    DefaultMQPushConsumer all = Rocket.consumer(s, "CG_tags_all", "two");
    all.subscribe(topic, "*");
    Queue<MessageExt> every = Rocket.collect(all);
    all.start();
    s.await("all 40", 30, () -> every.size() >= 40);
    s.await("20 of tags A and B", 30, () -> ab.size() >= 20);
    // A message sent while the consumers wait in a long poll wakes the right one.
    p.send(Rocket.message(topic, "C", "late C"));
    p.send(Rocket.message(topic, "A", "late A"));
    s.await("late A", 30, () -> ab.stream().anyMatch(m -> Rocket.text(m).equals("late A")));
    s.await("late C", 30, () -> every.stream().anyMatch(m -> Rocket.text(m).equals("late C")));
    s.equal(21, ab.size(), "only A and B");
    s.check(ab.stream().allMatch(m -> "A".equals(m.getTags()) || "B".equals(m.getTags())), "tags");
    s.equal(42, every.size(), "all");
    some.shutdown();
    all.shutdown();
    p.shutdown();
    s.ok("tag filter");
  }
}
