package troika.rocketmq;

import java.util.*;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.MessageExt;
import troika.Scenario;

/** Two members of a group share the queues; when one leaves, the other takes all. */
public final class Rebalance {
  public static void main(String[] argv) {
    Scenario.run(argv, Rebalance::body);
  }

  static void body(Scenario s) throws Exception {
    String topic = s.name("RebalanceTest");
    DefaultMQProducer p = Rocket.producer(s, "PG_rebalance");
    p.send(Rocket.message(topic, null, "first"));
    DefaultMQPushConsumer one = Rocket.consumer(s, "CG_rebalance", "one");
    one.subscribe(topic, "*");
    Queue<MessageExt> seenOne = Rocket.collect(one);
    one.start();
    s.await("the first", 30, () -> seenOne.size() == 1);
    DefaultMQPushConsumer two = Rocket.consumer(s, "CG_rebalance", "two");
    two.subscribe(topic, "*");
    Queue<MessageExt> seenTwo = Rocket.collect(two);
    two.start();
    // Notification 40 makes the first let go of half of its queues at once, not after its 20 s timer.
    s.await(
        "both members consume",
        15,
        () -> {
          for (int i = 0; i < 8; i++) p.send(Rocket.message(topic, null, "probe"));
          return seenTwo.stream().map(MessageExt::getQueueId).distinct().count() == 2;
        });
    Thread.sleep(1000);
    seenOne.clear();
    seenTwo.clear();
    for (int i = 0; i < 40; i++) p.send(Rocket.message(topic, null, "m" + i));
    s.await("forty shared", 20, () -> seenOne.size() + seenTwo.size() >= 40);
    Set<Integer> queuesOne = seenOne.stream().map(MessageExt::getQueueId).collect(Collectors.toSet());
    Set<Integer> queuesTwo = seenTwo.stream().map(MessageExt::getQueueId).collect(Collectors.toSet());
    s.equal(2, queuesOne.size(), "queues of one");
    s.equal(2, queuesTwo.size(), "queues of two");
    s.check(Collections.disjoint(queuesOne, queuesTwo), "no queue is shared");
    List<String> all = new ArrayList<>(Rocket.sortedTexts(seenOne));
    all.addAll(Rocket.sortedTexts(seenTwo));
    Collections.sort(all);
    s.equal(Rocket.numbered("m", 40), all, "each message once");
    s.ok("two members share the queues");
    two.shutdown();
    seenOne.clear();
    s.await(
        "the one left takes all four queues",
        15,
        () -> {
          for (int i = 0; i < 8; i++) p.send(Rocket.message(topic, null, "probe"));
          Thread.sleep(200);
          return seenOne.stream().map(MessageExt::getQueueId).distinct().count() == 4;
        });
    one.shutdown();
    p.shutdown();
    s.ok("a member that leaves is replaced");
  }
}
