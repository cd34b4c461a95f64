package troika.openwire;

import java.util.Set;
import java.util.TreeSet;
import javax.jms.*;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.DestinationDoesNotExistException;
import org.apache.activemq.advisory.AdvisorySupport;
import org.apache.activemq.advisory.DestinationSource;
import org.apache.activemq.command.ActiveMQDestination;
import org.apache.activemq.command.ActiveMQMessage;
import org.apache.activemq.command.ActiveMQTopic;
import org.apache.activemq.command.DestinationInfo;
import troika.Scenario;

/** Temporary queues between connections, and the advisories that make them known. */
public final class TempAndAdvisories {
  public static void main(String[] argv) {
    Scenario.run(
        argv,
        s -> {
          requestReply(s);
          temporaryTopic(s);
          advisories(s);
          destinations(s);
          gone(s);
        });
  }

  static void requestReply(Scenario s) throws Exception {
    ActiveMQConnection server = Jms.open(s);
    Session ss = server.createSession(false, Session.AUTO_ACKNOWLEDGE);
    Queue requests = ss.createQueue(s.name("requests"));
    MessageProducer replies = ss.createProducer(null);
    ss.createConsumer(requests)
        .setMessageListener(
            m -> {
              try {
                TextMessage answer = ss.createTextMessage("re: " + Jms.text(m));
                answer.setJMSCorrelationID(m.getJMSMessageID());
                replies.send(m.getJMSReplyTo(), answer);
              } catch (JMSException e) {
                e.printStackTrace(System.out);
              }
            });
    ActiveMQConnection client = Jms.open(s);
    Session cs = client.createSession(false, Session.AUTO_ACKNOWLEDGE);
    TemporaryQueue back = cs.createTemporaryQueue();
    MessageConsumer answers = cs.createConsumer(back);
    MessageProducer producer = cs.createProducer(requests);
    for (int i = 0; i < 20; i++) {
      TextMessage request = cs.createTextMessage("q" + i);
      request.setJMSReplyTo(back);
      producer.send(request);
      Message answer = answers.receive(Jms.COMES_MS);
      s.equal("re: q" + i, Jms.text(answer), "answer");
      s.equal(request.getJMSMessageID(), answer.getJMSCorrelationID(), "correlation");
    }
    client.close();
    server.close();
    s.ok("request and reply over a temporary queue");
  }

  static void temporaryTopic(Scenario s) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    TemporaryTopic topic = session.createTemporaryTopic();
    MessageConsumer one = session.createConsumer(topic);
    MessageConsumer two = session.createConsumer(topic);
    Jms.send(session, session.createProducer(topic), "both");
    s.equal("both", Jms.text(one.receive(Jms.COMES_MS)), "first subscriber");
    s.equal("both", Jms.text(two.receive(Jms.COMES_MS)), "second subscriber");
    c.close();
    s.ok("temporary topic");
  }

  static void advisories(Scenario s) throws Exception {
    ActiveMQConnection watcher = Jms.open(s);
    Session session = watcher.createSession(false, Session.AUTO_ACKNOWLEDGE);
    Queue queue = session.createQueue(s.name("watched"));
    MessageConsumer consumers =
        session.createConsumer(AdvisorySupport.getConsumerAdvisoryTopic(queue));
    MessageConsumer temps = session.createConsumer(AdvisorySupport.TEMP_QUEUE_ADVISORY_TOPIC);
    ActiveMQConnection other = Jms.open(s);
    Session os = other.createSession(false, Session.AUTO_ACKNOWLEDGE);
    MessageConsumer watched = os.createConsumer(queue);
    ActiveMQMessage started = (ActiveMQMessage) consumers.receive(Jms.COMES_MS);
    s.check(started != null, "no advisory of a new consumer");
    s.equal("Advisory", started.getType(), "advisory type");
    s.equal(1, started.getIntProperty("consumerCount"), "consumerCount");
    watched.close();
    ActiveMQMessage stopped = (ActiveMQMessage) consumers.receive(Jms.COMES_MS);
    s.check(stopped != null, "no advisory of a closed consumer");
    s.equal(0, stopped.getIntProperty("consumerCount"), "consumerCount after close");
    s.ok("consumer advisories");

    TemporaryQueue temp = os.createTemporaryQueue();
    String name = temp.getQueueName();
    s.equal(DestinationInfo.ADD_OPERATION_TYPE, operation(s, temps, name), "creation");
    temp.delete();
    s.equal(DestinationInfo.REMOVE_OPERATION_TYPE, operation(s, temps, name), "removal");
    other.close();
    watcher.close();
    s.ok("temporary destination advisories");
  }

  /** The library's own list of destinations, which lives on advisories alone. */
  static void destinations(Scenario s) throws Exception {
    ActiveMQConnection user = Jms.open(s);
    Session session = user.createSession(false, Session.AUTO_ACKNOWLEDGE);
    String name = s.name("listed");
    session.createConsumer(session.createTopic(name + ".consumed"));
    session.createConsumer(session.createTopic(name + ".wild.*"));
    session.createProducer(session.createTopic(name + ".produced"));
    session.createConsumer(session.createQueue(name + ".queue"));
    ActiveMQConnection watcher = Jms.open(s);
    DestinationSource source = watcher.getDestinationSource();
    // What was there already has reached the source's consumers, but may wait in them: the library starts a session
    // again without a look at what its consumers hold (ActiveMQSessionExecutor.start). The next message wakes it.
    session.createProducer(null).send(session.createTopic(name + ".sent"), session.createMessage());
    session.createConsumer(session.createQueue(name + ".more"));
    await(s, source, name, Set.of(".consumed", ".produced", ".sent"), Set.of(".queue", ".more"));
    user.destroyDestination(new ActiveMQTopic(name + ".sent"));
    await(s, source, name, Set.of(".consumed", ".produced"), Set.of(".queue", ".more"));
    user.close();
    watcher.close();
    s.ok("destinations are listed");
  }

  static void await(
      Scenario s, DestinationSource source, String name, Set<String> topics, Set<String> queues)
      throws Exception {
    s.await(
        "topics " + topics + " and queues " + queues,
        10,
        () -> ending(source.getTopics(), name).equals(new TreeSet<>(topics))
            && ending(source.getQueues(), name).equals(new TreeSet<>(queues)));
  }

  static Set<String> ending(Set<? extends ActiveMQDestination> all, String name) {
    Set<String> found = new TreeSet<>();
    for (ActiveMQDestination one : all) {
      String full = one.getPhysicalName();
      if (full.startsWith(name)) found.add(full.substring(name.length()));
    }
    return found;
  }

  static byte operation(Scenario s, MessageConsumer temps, String name) throws Exception {
    while (true) {
      ActiveMQMessage m = (ActiveMQMessage) temps.receive(Jms.COMES_MS);
      s.check(m != null, "no advisory for " + name);
      DestinationInfo info = (DestinationInfo) m.getDataStructure();
      ActiveMQDestination d = info.getDestination();
      if (d.getPhysicalName().equals(name)) return info.getOperationType();
    }
  }

  /** A send to a temporary queue whose connection is gone fails at the sender. */
  static void gone(Scenario s) throws Exception {
    ActiveMQConnection owner = Jms.open(s);
    ActiveMQConnection other = Jms.open(s);
    Session session = other.createSession(false, Session.AUTO_ACKNOWLEDGE);
    TemporaryQueue temp =
        owner.createSession(false, Session.AUTO_ACKNOWLEDGE).createTemporaryQueue();
    MessageProducer producer = session.createProducer(temp);
    Jms.send(session, producer, "while it lives");
    owner.close();
    try {
      s.await(
          "a refused send",
          5,
          () -> {
            Jms.send(session, producer, "afterwards");
            return false;
          });
      throw new AssertionError("a send to a deleted temporary queue was accepted");
    } catch (InvalidDestinationException | DestinationDoesNotExistException e) {
      // The client refuses it once it knows; before that the server does.
      s.check(e.getMessage().contains("deleted") || e.getMessage().contains("exist"), e.getMessage());
    }
    other.close();
    s.ok("temporary queue ends with its connection");
  }
}
