package troika.openwire;

import javax.jms.*;
import org.apache.activemq.ActiveMQConnectionFactory;
import troika.Scenario;

/** Wrong credentials are refused with the client's own security exception; right ones and none are admitted. */
public final class Credentials {
  public static void main(String[] argv) {
    Scenario.run(
        argv,
        s -> {
          new ActiveMQConnectionFactory("admin", "admin", s.openwireUrl()).createConnection().close();
          s.ok("admin/admin");
          Connection c =
              new ActiveMQConnectionFactory("admin", "wrong", s.openwireUrl()).createConnection();
          try {
            c.start();
            throw new AssertionError("a wrong password was accepted");
          } catch (JMSSecurityException e) {
            s.check(
                e.getMessage().contains("User name [admin] or password is invalid"), e.getMessage());
          }
          s.ok("wrong password refused");
        });
  }
}
