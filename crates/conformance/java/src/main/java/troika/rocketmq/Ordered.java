package troika.rocketmq;

import java.util.*;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.*;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.MessageExt;
import troika.Scenario;

/** Messages sent to chosen queues are consumed in order by an orderly consumer, over a suspension too. */
public final class Ordered {
  public static void main(String[] argv) {
    Scenario.run(argv, Ordered::body);
  }

  static void body(Scenario s) throws Exception {
    String topic = s.name("OrderedTest");
    DefaultMQProducer p = Rocket.producer(s, "PG_ordered");
    for (int i = 0; i < 60; i++) {
      int order = i % 3;
      p.send(
          Rocket.message(topic, "T" + order, String.valueOf(i)),
          (queues, m, arg) -> queues.get((Integer) arg % queues.size()),
          order);
    }
    Map<Integer, List<Integer>> seen = new ConcurrentHashMap<>();
    AtomicInteger count = new AtomicInteger();
    AtomicBoolean suspended = new AtomicBoolean();
    DefaultMQPushConsumer c = Rocket.consumer(s, "CG_ordered", "one");
    c.setConsumeMessageBatchMaxSize(1);
    c.setSuspendCurrentQueueTimeMillis(200);
    c.subscribe(topic, "*");
    c.registerMessageListener(
        (MessageListenerOrderly)
            (messages, context) -> {
              MessageExt m = messages.get(0);
              if (Rocket.text(m).equals("30") && suspended.compareAndSet(false, true)) {
                return ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
              }
              seen.computeIfAbsent(m.getQueueId(), id -> new CopyOnWriteArrayList<>())
                  .add(Integer.parseInt(Rocket.text(m)));
              count.incrementAndGet();
              return ConsumeOrderlyStatus.SUCCESS;
            });
    c.start();
    s.await("60 messages", 45, () -> count.get() >= 60);
    s.check(suspended.get(), "the suspension happened");
    s.equal(60, count.get(), "each once");
    s.equal(3, seen.size(), "three queues were used");
    for (List<Integer> numbers : seen.values()) {
      List<Integer> sorted = new ArrayList<>(numbers);
      Collections.sort(sorted);
      s.equal(sorted, numbers, "order within a queue");
      s.equal(1L, numbers.stream().map(n -> n % 3).distinct().count(), "one order key a queue");
    }
    c.shutdown();
    p.shutdown();
    s.ok("orderly consumption");
  }
}
