package troika.openwire;

import java.util.Collections;
import java.util.Map;
import java.util.TreeMap;
import javax.jms.*;
import org.apache.activemq.ActiveMQConnectionFactory;
import troika.Scenario;

/** Every message type with every property type travels through a queue unchanged. */
public final class MessageTypes {
  public static void main(String[] argv) {
    Scenario.run(argv, MessageTypes::body);
  }

  static void body(Scenario s) throws Exception {
    ActiveMQConnectionFactory factory = new ActiveMQConnectionFactory(s.openwireUrl());
    factory.setTrustAllPackages(true);
    Connection c = factory.createConnection();
    c.start();
    Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    Queue queue = session.createQueue(s.name("types"));
    MessageProducer producer = session.createProducer(queue);
    MessageConsumer consumer = session.createConsumer(queue);

    TextMessage text = session.createTextMessage("text äöü € \uD83D\uDC0E");
    text.setBooleanProperty("bool", true);
    text.setByteProperty("byte", (byte) -7);
    text.setShortProperty("short", (short) 300);
    text.setIntProperty("int", 70000);
    text.setLongProperty("long", 1L << 40);
    text.setFloatProperty("float", 1.5f);
    text.setDoubleProperty("double", 2.25);
    text.setStringProperty("string", "grün");
    text.setJMSCorrelationID("corr-1");
    text.setJMSType("kind");
    text.setJMSReplyTo(session.createTopic("answers.here"));
    producer.send(text);
    TextMessage gotText = (TextMessage) consumer.receive(Jms.COMES_MS);
    s.equal("text äöü € \uD83D\uDC0E", gotText.getText(), "text body");
    s.equal(true, gotText.getObjectProperty("bool"), "boolean property");
    s.equal((byte) -7, gotText.getObjectProperty("byte"), "byte property");
    s.equal((short) 300, gotText.getObjectProperty("short"), "short property");
    s.equal(70000, gotText.getObjectProperty("int"), "int property");
    s.equal(1L << 40, gotText.getObjectProperty("long"), "long property");
    s.equal(1.5f, gotText.getObjectProperty("float"), "float property");
    s.equal(2.25, gotText.getObjectProperty("double"), "double property");
    s.equal("grün", gotText.getObjectProperty("string"), "string property");
    s.equal("corr-1", gotText.getJMSCorrelationID(), "correlation id");
    s.equal("kind", gotText.getJMSType(), "type");
    s.equal("topic://answers.here", gotText.getJMSReplyTo().toString(), "reply-to");
    s.equal("queue://" + s.name("types"), gotText.getJMSDestination().toString(), "destination");
    s.equal(text.getJMSMessageID(), gotText.getJMSMessageID(), "message id");
    s.equal(text.getJMSTimestamp(), gotText.getJMSTimestamp(), "timestamp");
    s.equal(DeliveryMode.PERSISTENT, gotText.getJMSDeliveryMode(), "delivery mode");
    s.equal(4, gotText.getJMSPriority(), "priority");
    s.equal(false, gotText.getJMSRedelivered(), "redelivered");
    s.equal(1, gotText.getIntProperty("JMSXDeliveryCount"), "delivery count");
    s.ok("text message with properties and headers");

    producer.send(session.createTextMessage(""));
    s.equal("", Jms.text(consumer.receive(Jms.COMES_MS)), "empty text");
    producer.send(session.createTextMessage());
    TextMessage none = (TextMessage) consumer.receive(Jms.COMES_MS);
    s.check(none != null && none.getText() == null, "text message without a body");
    s.ok("empty and absent text");

    byte[] large = new byte[300_000];
    for (int i = 0; i < large.length; i++) large[i] = (byte) (i * 31);
    BytesMessage bytes = session.createBytesMessage();
    bytes.writeInt(42);
    bytes.writeUTF("utf");
    bytes.writeBytes(large);
    producer.send(bytes);
    BytesMessage gotBytes = (BytesMessage) consumer.receive(Jms.COMES_MS);
    s.equal(42, gotBytes.readInt(), "bytes: int");
    s.equal("utf", gotBytes.readUTF(), "bytes: utf");
    byte[] gotLarge = new byte[large.length];
    s.equal(large.length, gotBytes.readBytes(gotLarge), "bytes: length");
    s.equal(large, gotLarge, "bytes: content");
    s.ok("bytes message of 300 kB");

    MapMessage map = session.createMapMessage();
    map.setBoolean("b", true);
    map.setInt("i", 5);
    map.setLong("l", Long.MIN_VALUE);
    map.setDouble("d", 0.5);
    map.setChar("c", 'ß');
    map.setBytes("y", new byte[] {1, 2, 3});
    map.setString("s", "x");
    producer.send(map);
    MapMessage gotMap = (MapMessage) consumer.receive(Jms.COMES_MS);
    Map<String, Object> entries = new TreeMap<>();
    for (Object key : Collections.list(gotMap.getMapNames())) {
      entries.put((String) key, gotMap.getObject((String) key));
    }
    s.equal(7, entries.size(), "map: entries");
    s.equal(true, entries.get("b"), "map: boolean");
    s.equal(5, entries.get("i"), "map: int");
    s.equal(Long.MIN_VALUE, entries.get("l"), "map: long");
    s.equal(0.5, entries.get("d"), "map: double");
    s.equal('ß', entries.get("c"), "map: char");
    s.equal(new byte[] {1, 2, 3}, entries.get("y"), "map: bytes");
    s.equal("x", entries.get("s"), "map: string");
    s.ok("map message");

    StreamMessage stream = session.createStreamMessage();
    stream.writeInt(1);
    stream.writeString("two");
    stream.writeDouble(3.0);
    stream.writeBytes(new byte[] {4});
    producer.send(stream);
    StreamMessage gotStream = (StreamMessage) consumer.receive(Jms.COMES_MS);
    s.equal(1, gotStream.readInt(), "stream: int");
    s.equal("two", gotStream.readString(), "stream: string");
    s.equal(3.0, gotStream.readDouble(), "stream: double");
    s.equal(new byte[] {4}, gotStream.readObject(), "stream: bytes");
    s.ok("stream message");

    producer.send(session.createObjectMessage(new java.util.ArrayList<>(java.util.List.of("a", "b"))));
    ObjectMessage gotObject = (ObjectMessage) consumer.receive(Jms.COMES_MS);
    s.equal(java.util.List.of("a", "b"), gotObject.getObject(), "object body");
    s.ok("object message");

    Message plain = session.createMessage();
    plain.setStringProperty("only", "properties");
    producer.send(plain);
    Message gotPlain = consumer.receive(Jms.COMES_MS);
    s.check(!(gotPlain instanceof TextMessage), "a plain message stays plain");
    s.equal("properties", gotPlain.getStringProperty("only"), "plain message property");
    s.ok("message without a body");
    c.close();
  }
}
