// Connects over TLS with IBM MQ classes for Java, puts a message and gets it. Prints one line a case: what was got, or the reason
// and what is behind it. A test compares the lines.
// Arguments: port, queue manager, queue, directory of certificates; then cases, each CHANNEL CIPHERSUITE USER, with - for none.

import com.ibm.mq.MQException;
import com.ibm.mq.MQMessage;
import com.ibm.mq.MQQueue;
import com.ibm.mq.MQQueueManager;
import com.ibm.mq.constants.CMQC;
import java.io.ByteArrayInputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.Hashtable;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocketFactory;
import javax.net.ssl.TrustManagerFactory;

public class Protected {
    public static void main(String[] arguments) throws Exception {
        // Suites by the names that every Java but IBM's has for them.
        System.setProperty("com.ibm.mq.cfg.useIBMCipherMappings", "false");
        MQException.logExclude(MQException.MQRC_NOT_AUTHORIZED);
        Path certificates = Path.of(arguments[3]);
        for (int at = 4; at + 2 < arguments.length; at += 3) {
            String channel = arguments[at], suite = arguments[at + 1], user = arguments[at + 2];
            Hashtable<String, Object> properties = new Hashtable<>();
            properties.put(CMQC.HOST_NAME_PROPERTY, "127.0.0.1");
            properties.put(CMQC.PORT_PROPERTY, Integer.parseInt(arguments[0]));
            properties.put(CMQC.CHANNEL_PROPERTY, channel);
            properties.put(CMQC.TRANSPORT_PROPERTY, CMQC.TRANSPORT_MQSERIES_CLIENT);
            if (!suite.equals("-")) {
                properties.put(CMQC.SSL_CIPHER_SUITE_PROPERTY, suite);
                properties.put(CMQC.SSL_SOCKET_FACTORY_PROPERTY, sockets(certificates, user));
            }
            String label = channel + " " + suite + " " + user + ": ";
            long before = System.nanoTime();
            try {
                System.out.println(label + exchange(properties, arguments[1], arguments[2], !user.equals("-")));
            } catch (MQException refused) {
                System.out.println(label + refused.reasonCode + late(before));
                if (System.getenv("CAUSES") != null) {
                    for (Throwable cause = refused.getCause(); cause != null; cause = cause.getCause()) {
                        System.out.println("    " + cause);
                    }
                }
            }
        }
        System.out.println("done");
    }

    /// A refusal comes at once, and a client that hears nothing waits for minutes.
    static String late(long before) {
        long took = (System.nanoTime() - before) / 1_000_000;
        return took < 30_000 ? "" : " after " + took + " ms";
    }

    static String exchange(Hashtable<String, Object> properties, String name, String queueName, boolean isKnown)
            throws Exception {
        MQQueueManager manager = new MQQueueManager(name, properties);
        MQQueue queue = manager.accessQueue(queueName, CMQC.MQOO_INPUT_SHARED | CMQC.MQOO_OUTPUT);
        MQMessage put = new MQMessage();
        put.writeString("hello");
        queue.put(put);
        MQMessage got = new MQMessage();
        queue.get(got);
        // Whoever has no certificate is who it says: whoever runs this.
        String text = got.readStringOfByteLength(got.getDataLength()) + (isKnown ? " by " + got.userId.trim() : "");
        queue.close();
        manager.disconnect();
        return text;
    }

    /// Trusts the authority, and shows the user's certificate if there is one.
    static SSLSocketFactory sockets(Path certificates, String user) throws Exception {
        KeyStore trusted = KeyStore.getInstance("PKCS12");
        trusted.load(null, null);
        trusted.setCertificateEntry("authority", certificate(certificates.resolve("ca.pem")));
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(trusted);
        KeyStore own = KeyStore.getInstance("PKCS12");
        own.load(null, null);
        if (!user.equals("-")) {
            String pem = Files.readString(certificates.resolve(user + ".key"));
            byte[] key = Base64.getMimeDecoder().decode(pem.replaceAll("-----[A-Z ]+-----", ""));
            Certificate[] chain = {certificate(certificates.resolve(user + ".pem"))};
            KeyFactory keys = KeyFactory.getInstance("EC");
            own.setKeyEntry("own", keys.generatePrivate(new PKCS8EncodedKeySpec(key)), new char[0], chain);
        }
        KeyManagerFactory shown = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        shown.init(own, new char[0]);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(shown.getKeyManagers(), trust.getTrustManagers(), null);
        return context.getSocketFactory();
    }

    static Certificate certificate(Path file) throws Exception {
        return CertificateFactory.getInstance("X.509").generateCertificate(new ByteArrayInputStream(Files.readAllBytes(file)));
    }
}
