package troika.openwire;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import javax.jms.ConnectionFactory;
import javax.jms.MessageProducer;
import javax.jms.TextMessage;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.apache.activemq.jms.pool.PooledConnectionFactory;
import org.springframework.jms.core.JmsTemplate;
import org.springframework.jms.listener.DefaultMessageListenerContainer;
import org.springframework.jms.listener.SessionAwareMessageListener;
import troika.Scenario;

/** Spring's template and listener container, with and without a pool: everything opens and closes all the time. */
public final class Spring {
  static final int MESSAGES = 40;

  public static void main(String[] argv) {
    Scenario.run(
        argv,
        s -> {
          ActiveMQConnectionFactory plain = new ActiveMQConnectionFactory(s.openwireUrl());
          plain.getRedeliveryPolicy().setInitialRedeliveryDelay(0);
          plain.getRedeliveryPolicy().setRedeliveryDelay(0);
          PooledConnectionFactory pool = new PooledConnectionFactory();
          pool.setConnectionFactory(plain);
          pool.setMaxConnections(4);
          template(s, "plain", plain);
          template(s, "pooled", pool);
          for (int cache = 0; cache <= DefaultMessageListenerContainer.CACHE_CONSUMER; cache++) {
            container(s, "plain" + cache, plain, pool, cache);
            container(s, "pooled" + cache, pool, pool, cache);
          }
        });
  }

  static void template(Scenario s, String name, ConnectionFactory factory) {
    for (boolean transacted : new boolean[] {false, true}) {
      JmsTemplate template = new JmsTemplate(factory);
      template.setSessionTransacted(transacted);
      template.setReceiveTimeout(Jms.COMES_MS);
      String queue = s.name("spring." + name + transacted);
      for (int i = 0; i < MESSAGES; i++) {
        template.convertAndSend(queue, "m" + i);
        s.equal("m" + i, template.receiveAndConvert(queue), name);
      }
    }
    s.ok("template " + name);
  }

  /** Each tenth message fails once; its result must not be seen, and it must come a second time only. */
  static void container(Scenario s, String name, ConnectionFactory factory, ConnectionFactory pool, int cache)
      throws Exception {
    String in = s.name("spring.in." + name);
    String out = s.name("spring.out." + name);
    Map<String, Integer> attempts = new ConcurrentHashMap<>();
    Set<String> done = ConcurrentHashMap.newKeySet();
    DefaultMessageListenerContainer container = new DefaultMessageListenerContainer();
    container.setConnectionFactory(factory);
    container.setDestinationName(in);
    container.setSessionTransacted(true);
    container.setConcurrentConsumers(3);
    container.setMaxConcurrentConsumers(5);
    container.setCacheLevel(cache);
    container.setReceiveTimeout(300);
    container.setMaxMessagesPerTask(7);
    container.setErrorHandler(e -> {});
    container.setMessageListener(
        (SessionAwareMessageListener<TextMessage>)
            (message, session) -> {
              String text = message.getText();
              int attempt = attempts.merge(text, 1, Integer::sum);
              MessageProducer producer = session.createProducer(session.createQueue(out));
              producer.send(session.createTextMessage(text));
              producer.close();
              if (text.endsWith("0") && attempt == 1) throw new IllegalStateException("once more, please");
              done.add(text);
            });
    container.afterPropertiesSet();
    container.start();
    JmsTemplate template = new JmsTemplate(pool);
    for (int i = 0; i < MESSAGES; i++) template.convertAndSend(in, "" + i);
    s.await("all messages of " + name, 20, () -> done.size() == MESSAGES);
    container.shutdown();
    template.setReceiveTimeout(Jms.COMES_MS);
    List<Object> results = new ArrayList<>();
    for (int i = 0; i < MESSAGES; i++) results.add(template.receiveAndConvert(out));
    s.equal(MESSAGES, new HashSet<>(results).size(), "each result once, " + name);
    template.setReceiveTimeout(Jms.ABSENT_MS);
    s.equal(null, template.receiveAndConvert(out), "no more results, " + name);
    s.equal(null, template.receiveAndConvert(in), "nothing left, " + name);
    attempts.forEach((text, times) -> s.equal(text.endsWith("0") ? 2 : 1, times, "attempts of " + text + ", " + name));
    s.ok("listener container " + name);
  }
}
