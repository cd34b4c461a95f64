import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * RocketMQ's Java client: sends to the topic `TopicTest`, or prints what comes for some seconds.
 *
 * <pre>
 * java -cp 'target/examples/lib/*' examples/Rocket.java send "from RocketMQ"
 * java -cp 'target/examples/lib/*' examples/Rocket.java receive
 * </pre>
 */
public class Rocket {
    public static void main(String[] args) throws Exception {
        if (args[0].equals("send")) {
            DefaultMQProducer producer = new DefaultMQProducer("example");
            producer.setNamesrvAddr("127.0.0.1:9876");
            producer.start();
            System.out.println("RocketMQ: "
                + producer.send(new Message("TopicTest", "TagA", args[1].getBytes())).getSendStatus() + " " + args[1]);
            producer.shutdown();
        } else {
            DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("example");
            consumer.setNamesrvAddr("127.0.0.1:9876");
            consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
            consumer.subscribe("TopicTest", "*");
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                for (MessageExt message : messages) {
                    System.out.println("RocketMQ: received " + new String(message.getBody()));
                }
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
            consumer.start();
            Thread.sleep(8000);
            consumer.shutdown();
        }
        System.exit(0);
    }
}
