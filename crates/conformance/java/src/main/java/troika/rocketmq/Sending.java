package troika.rocketmq;

import java.util.*;
import java.util.concurrent.*;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.*;
import org.apache.rocketmq.common.message.*;
import troika.Scenario;

/** Synchronous, asynchronous, one-way and batch sends to a topic that creates itself; a push consumer gets all. */
public final class Sending {
  public static void main(String[] argv) {
    Scenario.run(argv, Sending::body);
  }

  static void body(Scenario s) throws Exception {
    String topic = s.name("SendingTest");
    DefaultMQProducer p = Rocket.producer(s, "PG_sending");
    Message full = new Message(topic, "TagA", "key1 key2", "sync0 äöü €".getBytes("UTF-8"));
    full.putUserProperty("colour", "grün");
    full.setFlag(7);
    SendResult r = p.send(full);
    s.equal(SendStatus.SEND_OK, r.getSendStatus(), "status");
    s.check(r.getOffsetMsgId() != null && r.getOffsetMsgId().length() == 32, "offset message id " + r.getOffsetMsgId());
    s.check(r.getQueueOffset() >= 0, "queue offset");
    s.equal(topic, r.getMessageQueue().getTopic(), "queue's topic");
    s.equal(4, p.fetchPublishMessageQueues(topic).size(), "an automatic topic has 4 queues");
    s.ok("synchronous send to a new topic");

    CountDownLatch answered = new CountDownLatch(3);
    List<String> failures = new CopyOnWriteArrayList<>();
    for (int i = 0; i < 3; i++) {
      p.send(
          Rocket.message(topic, "TagA", "async" + i),
          new SendCallback() {
            public void onSuccess(SendResult result) {
              answered.countDown();
            }

            public void onException(Throwable e) {
              failures.add(e.toString());
              answered.countDown();
            }
          });
    }
    s.check(answered.await(10, TimeUnit.SECONDS), "asynchronous sends unanswered");
    s.equal(List.of(), failures, "asynchronous sends");
    for (int i = 0; i < 3; i++) p.sendOneway(Rocket.message(topic, "TagA", "oneway" + i));
    List<Message> batch = new ArrayList<>();
    for (int i = 0; i < 10; i++) batch.add(Rocket.message(topic, "TagA", "batch" + i));
    SendResult b = p.send(batch);
    s.equal(SendStatus.SEND_OK, b.getSendStatus(), "batch status");
    s.equal(10, b.getMsgId().split(",").length, "ids of a batch");
    byte[] large = new byte[3_000_000];
    Arrays.fill(large, (byte) 'x');
    p.send(new Message(topic, "TagA", "large", large));
    s.ok("asynchronous, one-way, batch, large (compressed) sends");

    DefaultMQPushConsumer c = Rocket.consumer(s, "CG_sending", "one");
    c.subscribe(topic, "*");
    Queue<MessageExt> seen = Rocket.collect(c);
    c.start();
    s.await("18 messages", 30, () -> seen.size() >= 18);
    Thread.sleep(300);
    s.equal(18, seen.size(), "each once");
    MessageExt got = seen.stream().filter(m -> Rocket.text(m).startsWith("sync")).findFirst().get();
    s.equal("sync0 äöü €", Rocket.text(got), "body");
    s.equal("TagA", got.getTags(), "tag");
    s.equal("key1 key2", got.getKeys(), "keys");
    s.equal("grün", got.getUserProperty("colour"), "user property");
    s.equal(7, got.getFlag(), "flag");
    s.equal(r.getMsgId(), got.getMsgId(), "message id");
    s.equal(r.getOffsetMsgId(), ((MessageClientExt) got).getOffsetMsgId(), "offset message id");
    s.equal(r.getQueueOffset(), got.getQueueOffset(), "queue offset");
    s.equal(0, got.getReconsumeTimes(), "reconsume times");
    s.check(
        seen.stream().anyMatch(m -> m.getBody().length == large.length), "large body came back whole");
    s.equal(Rocket.numbered("batch", 10), Rocket.sortedTexts(only(seen, "batch")), "batch");
    s.ok("push consumer");
    c.shutdown();

    MessageExt looked = p.viewMessage(topic, r.getOffsetMsgId());
    s.equal("sync0 äöü €", Rocket.text(looked), "by offset message id");
    s.ok("view by id");
    try {
      p.send(new Message(topic, "TagA", new byte[0]));
      throw new AssertionError("an empty body was accepted");
    } catch (org.apache.rocketmq.client.exception.MQClientException e) {
      s.ok("empty body refused");
    }
    p.shutdown();
  }

  static Queue<MessageExt> only(Queue<MessageExt> seen, String prefix) {
    Queue<MessageExt> found = new ConcurrentLinkedQueue<>(seen);
    found.removeIf(m -> !Rocket.text(m).startsWith(prefix));
    return found;
  }
}
