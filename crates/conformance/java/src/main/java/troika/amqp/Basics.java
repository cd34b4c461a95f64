package troika.amqp;

import com.rabbitmq.client.*;
import java.io.IOException;
import java.util.*;
import java.util.concurrent.*;
import troika.Scenario;

/** The Java client's own world: declare, publish, get, consume, settle, return, RPC, errors, transactions. */
public final class Basics {
  public static void main(String[] argv) {
    Scenario.run(
        argv,
        s -> {
          Connection c = factory(s).newConnection("basics");
          properties(s, c);
          consume(s, c);
          returned(s, c);
          rpc(s, c);
          errors(s, c);
          largeAndMany(s, c);
          c.close();
        });
  }

  static ConnectionFactory factory(Scenario s) {
    ConnectionFactory f = new ConnectionFactory();
    f.setHost(s.host());
    f.setPort(s.amqpPort());
    return f;
  }

  static void properties(Scenario s, Connection c) throws Exception {
    Channel ch = c.createChannel();
    String q = ch.queueDeclare().getQueue();
    Map<String, Object> headers = new HashMap<>();
    headers.put("long", 1L << 40);
    headers.put("int", 5);
    headers.put("short", (short) 3);
    headers.put("byte", (byte) -1);
    headers.put("double", 2.5);
    headers.put("float", 1.5f);
    headers.put("bool", true);
    headers.put("bytes", new byte[] {1, 2});
    headers.put("time", new Date(1_700_000_000_000L));
    headers.put("list", List.of(1, 2L));
    headers.put("table", Map.of("k", 1));
    headers.put("decimal", new java.math.BigDecimal("1.25"));
    headers.put("void", null);
    AMQP.BasicProperties sent =
        new AMQP.BasicProperties.Builder()
            .contentType("text/plain")
            .deliveryMode(2)
            .priority(3)
            .messageId("m")
            .timestamp(new Date(1_700_000_000_000L))
            .headers(headers)
            .build();
    ch.basicPublish("", q, sent, "body".getBytes());
    GetResponse got = get(s, ch, q);
    s.equal("body", new String(got.getBody()), "body");
    s.equal(sent.getTimestamp(), got.getProps().getTimestamp(), "timestamp");
    for (String key : headers.keySet()) {
      Object expected = headers.get(key);
      Object found = got.getProps().getHeaders().get(key);
      if (expected instanceof byte[]) s.equal(expected, found, key);
      else s.equal(String.valueOf(expected), String.valueOf(found), "header " + key);
      if (expected != null && !(expected instanceof List) && !(expected instanceof Map)) {
        s.equal(expected.getClass(), found.getClass(), "type of header " + key);
      }
    }
    ch.close();
    s.ok("properties and header types");
  }

  static GetResponse get(Scenario s, Channel ch, String q) throws Exception {
    GetResponse[] got = new GetResponse[1];
    s.await("a message in " + q, 5, () -> (got[0] = ch.basicGet(q, true)) != null);
    return got[0];
  }

  static void consume(Scenario s, Connection c) throws Exception {
    Channel ch = c.createChannel();
    String q = s.name("java-consumed");
    ch.queueDeclare(q, true, false, false, Map.of("x-message-ttl", 60000));
    for (int i = 0; i < 10; i++) ch.basicPublish("", q, MessageProperties.PERSISTENT_TEXT_PLAIN, ("" + i).getBytes());
    BlockingQueue<Delivery> seen = new LinkedBlockingQueue<>();
    BlockingQueue<String> cancelled = new LinkedBlockingQueue<>();
    ch.basicQos(3);
    String tag = ch.basicConsume(q, false, (t, d) -> seen.add(d), t -> cancelled.add(t));
    s.check(tag.startsWith("amq.ctag-"), "consumer tag " + tag);
    List<Delivery> held = new ArrayList<>();
    for (int i = 0; i < 3; i++) held.add(seen.poll(5, TimeUnit.SECONDS));
    s.equal(null, seen.poll(300, TimeUnit.MILLISECONDS), "prefetch");
    ch.basicNack(held.get(0).getEnvelope().getDeliveryTag(), false, true);
    Delivery again = seen.poll(5, TimeUnit.SECONDS);
    s.equal("0", new String(again.getBody()), "requeued");
    s.equal(true, again.getEnvelope().isRedeliver(), "redelivered");
    ch.basicAck(again.getEnvelope().getDeliveryTag(), true);
    for (int i = 3; i < 6; i++) {
      Delivery d = seen.poll(5, TimeUnit.SECONDS);
      s.equal("" + i, new String(d.getBody()), "order");
      s.equal(false, d.getEnvelope().isRedeliver(), "first time");
    }
    ch.queueDelete(q);
    s.equal(tag, cancelled.poll(5, TimeUnit.SECONDS), "cancelled by the server");
    ch.close();
    s.ok("consume, nack, ack multiple, cancel");
  }

  static void returned(Scenario s, Connection c) throws Exception {
    Channel ch = c.createChannel();
    BlockingQueue<Return> back = new LinkedBlockingQueue<>();
    ch.addReturnListener(back::add);
    ch.basicPublish("amq.direct", "nowhere", true, null, "x".getBytes());
    Return r = back.poll(5, TimeUnit.SECONDS);
    s.check(r != null, "no return");
    s.equal(312, r.getReplyCode(), "reply code");
    s.equal("NO_ROUTE", r.getReplyText(), "reply text");
    ch.close();
    s.ok("mandatory return");
  }

  static void rpc(Scenario s, Connection c) throws Exception {
    Channel serving = c.createChannel();
    String q = serving.queueDeclare().getQueue();
    serving.basicConsume(
        q,
        true,
        (t, d) ->
            serving.basicPublish(
                "",
                d.getProperties().getReplyTo(),
                new AMQP.BasicProperties.Builder().correlationId(d.getProperties().getCorrelationId()).build(),
                ("re " + new String(d.getBody())).getBytes()),
        t -> {});
    Channel ch = c.createChannel();
    String back = ch.queueDeclare().getQueue();
    RpcClientParams params = new RpcClientParams();
    params.channel(ch).exchange("").routingKey(q).replyTo(back).timeout(5000);
    RpcClient client = new RpcClient(params);
    for (int i = 0; i < 20; i++) s.equal("re " + i, new String(client.primitiveCall(("" + i).getBytes())), "answer");
    client.close();
    ch.close();
    serving.close();
    s.ok("request and reply");
  }

  static void errors(Scenario s, Connection c) throws Exception {
    Channel ch = c.createChannel();
    try {
      ch.queueDeclarePassive(s.name("java-missing"));
      throw new AssertionError("a missing queue was found");
    } catch (IOException e) {
      AMQP.Channel.Close close =
          (AMQP.Channel.Close) ((ShutdownSignalException) e.getCause()).getReason();
      s.equal(404, close.getReplyCode(), "code");
      s.equal("NOT_FOUND - no queue '" + s.name("java-missing") + "' in vhost '/'", close.getReplyText(), "text");
      s.equal(50, close.getClassId(), "class");
      s.equal(10, close.getMethodId(), "method");
    }
    Channel next = c.createChannel();
    next.exchangeDeclare(s.name("java-x"), BuiltinExchangeType.TOPIC, false, true, null);
    next.exchangeDeclarePassive(s.name("java-x"));
    next.exchangeDelete(s.name("java-x"));
    next.close();
    try {
      ConnectionFactory f = factory(s);
      f.setPassword("wrong");
      f.newConnection();
      throw new AssertionError("a wrong password was accepted");
    } catch (AuthenticationFailureException e) {
      s.check(e.getMessage().contains("Login was refused using authentication mechanism PLAIN"), e.getMessage());
    }
    s.ok("errors");
  }

  static void largeAndMany(Scenario s, Connection c) throws Exception {
    List<Channel> channels = new ArrayList<>();
    for (int i = 0; i < 100; i++) channels.add(c.createChannel());
    byte[] large = new byte[2_000_000];
    new Random(1).nextBytes(large);
    Channel last = channels.get(99);
    String q = last.queueDeclare().getQueue();
    last.basicPublish("", q, null, large);
    s.equal(large, get(s, last, q).getBody(), "large body");
    for (Channel ch : channels) ch.close();
    s.ok("a hundred channels, a large body");
  }
}
