package troika.bench;

import java.io.File;
import java.net.URI;
import org.apache.activemq.broker.BrokerService;
import org.apache.activemq.broker.TransportConnector;
import org.apache.activemq.store.kahadb.KahaDBPersistenceAdapter;

/**
 * ActiveMQ Classic from its jars, set up as its distribution is: KahaDB with synchronous journal writes, 70 % of the
 * heap for messages. There is no JMX, no console and no scheduler, which is in its favour.
 *
 * <p>Arguments: data directory, port, and {@code write} or {@code shipped}. It says "ready" when it listens.
 */
public final class Broker {
    public static void main(String[] args) throws Exception {
        BrokerService broker = new BrokerService();
        broker.setBrokerName("localhost");
        broker.setUseJmx(false);
        broker.setUseShutdownHook(true);
        broker.setDataDirectory(args[0]);
        KahaDBPersistenceAdapter store = new KahaDBPersistenceAdapter();
        store.setDirectory(new File(args[0], "kahadb"));
        if (args[2].equals("write")) {
            // By default a send is answered without being written if a consumer has acknowledged it first.
            store.setConcurrentStoreAndDispatchQueues(false);
        }
        broker.setPersistenceAdapter(store);
        broker.getSystemUsage().getMemoryUsage().setPercentOfJvmHeap(70);
        broker.getSystemUsage().getStoreUsage().setLimit(100L << 30);
        broker.getSystemUsage().getTempUsage().setLimit(50L << 30);
        TransportConnector connector = new TransportConnector();
        String options = "?maximumConnections=1000&wireFormat.maxFrameSize=104857600";
        connector.setUri(new URI("tcp://127.0.0.1:" + args[1] + options));
        broker.addConnector(connector);
        broker.start();
        broker.waitUntilStarted();
        System.out.println("ready");
        broker.waitUntilStopped();
    }
}
