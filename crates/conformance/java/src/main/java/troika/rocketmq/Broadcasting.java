package troika.rocketmq;

import java.util.Queue;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.MessageExt;
import troika.Scenario;

/** In broadcasting every member of a group gets every message. */
public final class Broadcasting {
  public static void main(String[] argv) {
    Scenario.run(argv, Broadcasting::body);
  }

  static void body(Scenario s) throws Exception {
    String topic = s.name("BroadcastTest");
    DefaultMQProducer p = Rocket.producer(s, "PG_broadcast");
    p.send(Rocket.message(topic, null, "m0"));
    DefaultMQPushConsumer[] consumers = new DefaultMQPushConsumer[2];
    @SuppressWarnings("unchecked")
    Queue<MessageExt>[] seen = new Queue[2];
    for (int i = 0; i < 2; i++) {
      consumers[i] = Rocket.consumer(s, "CG_broadcast", "member" + i);
      Models.broadcasting(consumers[i]);
      consumers[i].subscribe(topic, "*");
      seen[i] = Rocket.collect(consumers[i]);
      consumers[i].start();
    }
    for (int i = 1; i < 10; i++) p.send(Rocket.message(topic, null, "m" + i));
    for (int i = 0; i < 2; i++) {
      Queue<MessageExt> mine = seen[i];
      s.await("all ten at member " + i, 30, () -> mine.size() >= 10);
      s.equal(Rocket.numbered("m", 10), Rocket.sortedTexts(mine), "member " + i);
    }
    for (DefaultMQPushConsumer c : consumers) c.shutdown();
    p.shutdown();
    s.ok("broadcasting");
  }

  /** MessageModel moved to another package in 5.x; its setter is found by name, so that one class serves both. */
  static final class Models {
    static void broadcasting(DefaultMQPushConsumer c) throws Exception {
      for (java.lang.reflect.Method m : DefaultMQPushConsumer.class.getMethods()) {
        if (m.getName().equals("setMessageModel")) {
          for (Object constant : m.getParameterTypes()[0].getEnumConstants()) {
            if (constant.toString().equals("BROADCASTING")) m.invoke(c, constant);
          }
        }
      }
    }
  }
}
