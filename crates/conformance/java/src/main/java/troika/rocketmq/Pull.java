package troika.rocketmq;

import java.util.*;
import org.apache.rocketmq.client.consumer.*;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.*;
import troika.Scenario;

/** Reading by offset: the pull consumer's statuses, offsets by time, and the lite pull consumer. */
public final class Pull {
  public static void main(String[] argv) {
    Scenario.run(
        argv,
        s -> {
          String topic = s.name("PullTest");
          DefaultMQProducer p = Rocket.producer(s, "PG_pull");
          for (int i = 0; i < 20; i++) {
            p.send(
                Rocket.message(topic, i % 2 == 0 ? "even" : "odd", "m" + i),
                (queues, m, arg) -> queues.get(0),
                null);
          }
          pull(s, p, topic);
          lite(s, topic);
          p.shutdown();
        });
  }

  @SuppressWarnings("deprecation")
  static void pull(Scenario s, DefaultMQProducer p, String topic) throws Exception {
    DefaultMQPullConsumer c = new DefaultMQPullConsumer(s.name("CG_pull"));
    c.setNamesrvAddr(s.nameserver());
    c.start();
    MessageQueue queue =
        c.fetchSubscribeMessageQueues(topic).stream().min(Comparator.naturalOrder()).get();
    s.equal(0L, c.minOffset(queue), "min offset");
    s.equal(20L, c.maxOffset(queue), "max offset");
    List<String> texts = new ArrayList<>();
    long next = 0;
    while (texts.size() < 20) {
      PullResult r = c.pull(queue, "*", next, 7);
      s.equal(PullStatus.FOUND, r.getPullStatus(), "status at " + next);
      s.check(r.getMsgFoundList().size() <= 7, "no more than asked for");
      for (MessageExt m : r.getMsgFoundList()) {
        s.equal((long) texts.size(), m.getQueueOffset(), "gapless offsets");
        texts.add(Rocket.text(m));
      }
      next = r.getNextBeginOffset();
    }
    s.equal(20L, next, "next offset");
    s.equal(PullStatus.NO_NEW_MSG, c.pull(queue, "*", 20, 7).getPullStatus(), "at the end");
    PullResult beyond = c.pull(queue, "*", 1000, 7);
    s.equal(PullStatus.OFFSET_ILLEGAL, beyond.getPullStatus(), "beyond the end");
    s.equal(20L, beyond.getNextBeginOffset(), "corrected offset");
    PullResult even = c.pull(queue, "even", 0, 32);
    s.equal(10, even.getMsgFoundList().size(), "by tag");
    PullResult none = c.pull(queue, "absent", 0, 32);
    s.equal(PullStatus.NO_MATCHED_MSG, none.getPullStatus(), "by an absent tag");
    s.equal(20L, none.getNextBeginOffset(), "scanned to the end");
    long stored = c.pull(queue, "*", 19, 1).getMsgFoundList().get(0).getStoreTimestamp();
    s.equal(0L, c.searchOffset(queue, stored - 3_600_000), "offset of an hour ago");
    // Never stored: -1, or 0 where the queue is still in memory from its beginning.
    s.check(c.fetchConsumeOffset(queue, true) <= 0, "no offset yet");
    c.updateConsumeOffset(queue, 12);
    c.getDefaultMQPullConsumerImpl().getOffsetStore().updateConsumeOffsetToBroker(queue, 12, false);
    s.equal(12L, c.fetchConsumeOffset(queue, true), "stored offset");
    // A pull that waits is woken by the next message.
    Thread sender =
        new Thread(
            () -> {
              try {
                Thread.sleep(500);
                p.send(Rocket.message(topic, "even", "m20"), (queues, m, arg) -> queues.get(0), null);
              } catch (Exception e) {
                e.printStackTrace(System.out);
              }
            });
    sender.start();
    long began = System.currentTimeMillis();
    PullResult woken = c.pullBlockIfNotFound(queue, "*", 20, 7);
    long waited = System.currentTimeMillis() - began;
    s.equal(PullStatus.FOUND, woken.getPullStatus(), "woken");
    s.check(waited < 5000, "a waiting pull took " + waited + " ms to wake");
    sender.join();
    c.shutdown();
    s.ok("pull by offset");
  }

  static void lite(Scenario s, String topic) throws Exception {
    DefaultLitePullConsumer c = new DefaultLitePullConsumer(s.name("CG_lite"));
    c.setNamesrvAddr(s.nameserver());
    c.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
    c.setAutoCommit(false);
    c.subscribe(topic, "odd");
    c.start();
    Set<String> seen = new TreeSet<>();
    s.await(
        "ten odd ones",
        30,
        () -> {
          for (MessageExt m : c.poll(500)) seen.add(Rocket.text(m));
          return seen.size() >= 10;
        });
    s.check(seen.stream().allMatch(t -> Integer.parseInt(t.substring(1)) % 2 == 1), "odd only: " + seen);
    c.commitSync();
    c.shutdown();
    s.ok("lite pull consumer");
  }
}
