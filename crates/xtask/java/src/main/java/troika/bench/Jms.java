package troika.bench;

import jakarta.jms.BytesMessage;
import jakarta.jms.Connection;
import jakarta.jms.DeliveryMode;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Session;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.LongAdder;
import org.apache.activemq.ActiveMQConnectionFactory;

/**
 * Load over plain JMS: persistent messages, each send waits for the broker, and consumers that acknowledge
 * automatically at the same time. Every producer and every consumer has a connection of its own.
 *
 * <p>Arguments: broker URL, producers, consumers, queues, bytes in a message, seconds. One line per second:
 * {@code sent N received N send-p50-us N send-p99-us N}.
 */
public final class Jms {
    private static final LongAdder SENT = new LongAdder();
    private static final LongAdder RECEIVED = new LongAdder();
    private static final AtomicBoolean STOPPED = new AtomicBoolean();

    public static void main(String[] args) throws Exception {
        ActiveMQConnectionFactory factory = new ActiveMQConnectionFactory("admin", "admin", args[0]);
        factory.setWatchTopicAdvisories(false);
        int producers = Integer.parseInt(args[1]);
        int consumers = Integer.parseInt(args[2]);
        int queues = Integer.parseInt(args[3]);
        int bytes = Integer.parseInt(args[4]);
        int seconds = Integer.parseInt(args[5]);
        for (int i = 0; i < consumers; i++) {
            consume(factory, "bench-" + i % queues);
        }
        Latencies[] latencies = new Latencies[producers];
        for (int i = 0; i < producers; i++) {
            Latencies mine = new Latencies();
            latencies[i] = mine;
            String queue = "bench-" + i % queues;
            Thread thread = new Thread(() -> produce(factory, queue, bytes, mine));
            thread.setDaemon(true);
            thread.start();
        }
        long next = System.nanoTime();
        for (int second = 0; second < seconds; second++) {
            next += 1_000_000_000L;
            Thread.sleep(Math.max(1, (next - System.nanoTime()) / 1_000_000));
            long[] all = Latencies.take(latencies);
            System.out.println("sent " + SENT.sumThenReset() + " received " + RECEIVED.sumThenReset()
                    + " send-p50-us " + at(all, 0.50) + " send-p99-us " + at(all, 0.99));
        }
        STOPPED.set(true);
        // Connections end with the process: what a close costs is not measured.
        Runtime.getRuntime().halt(0);
    }

    private static void consume(ActiveMQConnectionFactory factory, String queue) throws Exception {
        Connection connection = factory.createConnection();
        Session session = connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
        MessageConsumer consumer = session.createConsumer(session.createQueue(queue));
        consumer.setMessageListener((Message message) -> RECEIVED.increment());
        connection.start();
    }

    private static void produce(ActiveMQConnectionFactory factory, String queue, int bytes, Latencies latencies) {
        try {
            Connection connection = factory.createConnection();
            connection.start();
            Session session = connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
            MessageProducer producer = session.createProducer(session.createQueue(queue));
            producer.setDeliveryMode(DeliveryMode.PERSISTENT);
            byte[] body = new byte[bytes];
            while (!STOPPED.get()) {
                BytesMessage message = session.createBytesMessage();
                message.writeBytes(body);
                long before = System.nanoTime();
                producer.send(message);
                latencies.add(System.nanoTime() - before);
                SENT.increment();
            }
        } catch (Exception failure) {
            if (!STOPPED.get()) {
                failure.printStackTrace();
                Runtime.getRuntime().halt(1);
            }
        }
    }

    private static long at(long[] sorted, double share) {
        return sorted.length == 0 ? 0 : sorted[(int) (share * (sorted.length - 1))] / 1000;
    }

    /** The send times of one producer within one second, in nanoseconds. */
    private static final class Latencies {
        private long[] values = new long[1 << 16];
        private int count;

        synchronized void add(long nanos) {
            if (count < values.length) {
                values[count++] = nanos;
            }
        }

        private synchronized long[] drain() {
            long[] drained = Arrays.copyOf(values, count);
            count = 0;
            return drained;
        }

        static long[] take(Latencies[] all) {
            long[] sorted = Arrays.stream(all).map(Latencies::drain).flatMapToLong(Arrays::stream).toArray();
            Arrays.sort(sorted);
            return sorted;
        }
    }
}
