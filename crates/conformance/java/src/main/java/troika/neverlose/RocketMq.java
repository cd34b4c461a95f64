package troika.neverlose;

import java.util.*;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.rocketmq.client.consumer.*;
import org.apache.rocketmq.client.consumer.store.ReadOffsetType;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.*;
import org.apache.rocketmq.common.message.*;
import troika.Scenario;

/** RocketMQ load: synchronous sends, and a reader whose offsets are stored with an answer. */
@SuppressWarnings("deprecation")
public final class RocketMq {
  public static void main(String[] argv) {
    Scenario.run(argv, s -> {
      String topic = s.name("NeverLose");
      if (Record.drains(s)) {
        Record.await(s, Record.start(s, "rocketmq.drained", r -> drain(s, topic, r)));
        return;
      }
      AtomicLong next = new AtomicLong(1);
      Record.roles(
          s,
          Map.of("rocketmq.published", r -> send(s, topic, next, r)),
          Map.of("rocketmq.consumed", r -> consume(s, topic, r)));
    });
  }

  static void send(Scenario s, String topic, AtomicLong next, Record record) throws Exception {
    DefaultMQProducer p = new DefaultMQProducer(s.name("PG_neverlose"));
    p.setNamesrvAddr(s.nameserver());
    p.setInstanceName("send" + System.nanoTime());
    // A retry inside the client would double a message that the server had stored.
    p.setRetryTimesWhenSendFailed(0);
    try {
      p.start();
      while (!Record.stopped()) {
        long id = next.getAndIncrement();
        SendResult r = p.send(new Message(topic, "T", Record.text(s, id).getBytes()), 3000);
        if (r.getSendStatus() == SendStatus.SEND_OK) {
          record.write("c " + id + " " + r.getMessageQueue().getQueueId() + " " + r.getQueueOffset());
        }
        Record.pace(id, 20);
      }
    } finally {
      p.shutdown();
    }
  }

  static DefaultMQPullConsumer reader(Scenario s, String group) throws Exception {
    DefaultMQPullConsumer c = new DefaultMQPullConsumer(s.name(group));
    c.setNamesrvAddr(s.nameserver());
    c.setInstanceName("read" + System.nanoTime());
    c.setConsumerPullTimeoutMillis(3000);
    c.start();
    return c;
  }

  static String delivery(MessageExt m) {
    return "d " + new String(m.getBody()).trim() + " " + m.getQueueId() + " " + m.getQueueOffset();
  }

  static void consume(Scenario s, String topic, Record record) throws Exception {
    DefaultMQPullConsumer c = reader(s, "CG_neverlose");
    try {
      Map<MessageQueue, Long> next = new TreeMap<>();
      for (MessageQueue q : c.fetchSubscribeMessageQueues(topic)) {
        long stored =
            c.getDefaultMQPullConsumerImpl().getOffsetStore().readOffset(q, ReadOffsetType.READ_FROM_STORE);
        // -1 is "never stored"; other negatives are a failed question.
        if (stored < -1) throw new IllegalStateException("no offset of " + q);
        next.put(q, Math.max(stored, 0));
      }
      record.write("s");
      while (!Record.stopped()) {
        boolean idle = true;
        for (Map.Entry<MessageQueue, Long> at : next.entrySet()) {
          PullResult r = c.pull(at.getKey(), "*", at.getValue(), 32);
          if (r.getPullStatus() != PullStatus.FOUND) continue;
          idle = false;
          for (MessageExt m : r.getMsgFoundList()) record.write(delivery(m));
          at.setValue(r.getNextBeginOffset());
          c.getDefaultMQPullConsumerImpl()
              .getOffsetStore()
              .updateConsumeOffsetToBroker(at.getKey(), r.getNextBeginOffset(), false);
          record.write("o " + at.getKey().getQueueId() + " " + r.getNextBeginOffset());
        }
        if (idle) Thread.sleep(20);
      }
    } finally {
      c.shutdown();
    }
  }

  static boolean isKnown(DefaultMQPullConsumer c, String topic) throws InterruptedException {
    for (int attempt = 0; attempt < 50; attempt++) {
      try {
        if (!c.fetchSubscribeMessageQueues(topic).isEmpty()) return true;
      } catch (MQClientException e) {
        Thread.sleep(200);
      }
    }
    return false;
  }

  static void drain(Scenario s, String topic, Record record) throws Exception {
    DefaultMQPullConsumer c = reader(s, "CG_neverlose_drain");
    // Written at the end only: the account needs one whole reading, not a broken one and another.
    List<String> lines = new ArrayList<>();
    try {
      // A topic that stays unknown is lost with all that was in it: nothing is read, and the account says so.
      if (!isKnown(c, topic)) return;
      for (MessageQueue q : new TreeSet<>(c.fetchSubscribeMessageQueues(topic))) {
        long next = 0;
        long end = c.maxOffset(q);
        while (next < end) {
          PullResult r = c.pull(q, "*", next, 32);
          if (r.getPullStatus() != PullStatus.FOUND) {
            throw new IllegalStateException(q + " answers " + r.getPullStatus() + " at " + next + " of " + end);
          }
          for (MessageExt m : r.getMsgFoundList()) lines.add(delivery(m));
          next = r.getNextBeginOffset();
        }
      }
      record.write(String.join("\n", lines));
    } finally {
      c.shutdown();
    }
  }
}
