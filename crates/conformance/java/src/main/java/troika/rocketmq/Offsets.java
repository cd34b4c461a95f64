package troika.rocketmq;

import java.util.List;
import java.util.Queue;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.MessageExt;
import troika.Scenario;

/** A group goes on where it stopped: over its own restart and over a SIGKILL of the server. */
public final class Offsets {
  public static void main(String[] argv) {
    Scenario.run(argv, Offsets::body);
  }

  static void body(Scenario s) throws Exception {
    String topic = s.name("OffsetsTest");
    DefaultMQProducer p = Rocket.producer(s, "PG_offsets");
    for (int i = 0; i < 10; i++) p.send(Rocket.message(topic, "T", "a" + i));
    s.equal(Rocket.numbered("a", 10), round(s, topic, "one", 10), "first round");
    for (int i = 0; i < 10; i++) p.send(Rocket.message(topic, "T", "b" + i));
    s.equal(Rocket.numbered("b", 10), round(s, topic, "two", 10), "after a restart of the consumer");
    s.ok("offsets survive the consumer");
    for (int i = 0; i < 10; i++) p.send(Rocket.message(topic, "T", "c" + i));
    s.killServer();
    List<String> third = round(s, topic, "three", 10);
    s.check(third.containsAll(Rocket.numbered("c", 10)), "after a kill of the server only " + third);
    // The client sends its last offsets without asking for an answer, so the kill may take those of the second round.
    s.check(third.stream().noneMatch(t -> t.startsWith("a")), "the first round came again: " + third);
    s.await(
        "the producer goes on",
        30,
        () -> {
          try {
            p.send(Rocket.message(topic, "T", "d0"));
            return true;
          } catch (Exception e) {
            return false;
          }
        });
    s.check(round(s, topic, "four", 1).contains("d0"), "after the kill");
    p.shutdown();
    s.ok("offsets and messages survive the server");
  }

  static List<String> round(Scenario s, String topic, String instance, int count) throws Exception {
    DefaultMQPushConsumer c = Rocket.consumer(s, "CG_offsets", instance);
    c.subscribe(topic, "*");
    Queue<MessageExt> seen = Rocket.collect(c);
    c.start();
    s.await(count + " messages", 30, () -> seen.size() >= count);
    Thread.sleep(300);
    c.shutdown();
    return Rocket.sortedTexts(seen);
  }
}
