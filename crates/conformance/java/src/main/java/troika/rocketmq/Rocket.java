package troika.rocketmq;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import troika.Scenario;

/** What the RocketMQ scenarios share. */
final class Rocket {
  private Rocket() {}

  static DefaultMQProducer producer(Scenario s, String group) throws Exception {
    DefaultMQProducer p = new DefaultMQProducer(s.name(group));
    p.setNamesrvAddr(s.nameserver());
    p.setSendMsgTimeout(10_000);
    p.start();
    return p;
  }

  /** A consumer that reads a topic from its beginning; not started yet. */
  static DefaultMQPushConsumer consumer(Scenario s, String group, String instance) {
    DefaultMQPushConsumer c = new DefaultMQPushConsumer(s.name(group));
    c.setNamesrvAddr(s.nameserver());
    c.setInstanceName(instance);
    c.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
    c.setPollNameServerInterval(1000);
    c.setPersistConsumerOffsetInterval(500);
    return c;
  }

  static Message message(String topic, String tag, String text) {
    return new Message(topic, tag, text.getBytes(StandardCharsets.UTF_8));
  }

  static String text(Message m) {
    return new String(m.getBody(), StandardCharsets.UTF_8);
  }

  /** Collects what a consumer gets, and accepts it. */
  static Queue<MessageExt> collect(DefaultMQPushConsumer c) {
    Queue<MessageExt> seen = new ConcurrentLinkedQueue<>();
    c.registerMessageListener(
        (MessageListenerConcurrently)
            (messages, context) -> {
              seen.addAll(messages);
              return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
    return seen;
  }

  static List<String> sortedTexts(Queue<MessageExt> seen) {
    return seen.stream().map(Rocket::text).sorted().toList();
  }

  static List<String> numbered(String prefix, int count) {
    return java.util.stream.IntStream.range(0, count).mapToObj(n -> prefix + n).sorted().toList();
  }
}
