// Administration by messages in PCF over IBM MQ classes for Java. Prints what it did, one line a step; a test compares the lines.
// Arguments: port, queue manager.

import com.ibm.mq.MQException;
import com.ibm.mq.MQGetMessageOptions;
import com.ibm.mq.MQMessage;
import com.ibm.mq.MQPutMessageOptions;
import com.ibm.mq.MQQueue;
import com.ibm.mq.MQQueueManager;
import com.ibm.mq.constants.CMQC;
import com.ibm.mq.constants.CMQCFC;
import com.ibm.mq.constants.CMQXC;
import com.ibm.mq.headers.pcf.MQCFGR;
import com.ibm.mq.headers.pcf.MQCFH;
import com.ibm.mq.headers.pcf.MQCFIN;
import com.ibm.mq.headers.pcf.MQCFST;
import com.ibm.mq.headers.pcf.PCFException;
import com.ibm.mq.headers.pcf.PCFMessage;
import com.ibm.mq.headers.pcf.PCFMessageAgent;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Hashtable;
import java.util.List;

public class Administration {
    static PCFMessageAgent agent;
    static MQQueueManager manager;

    public static void main(String[] arguments) throws Exception {
        Hashtable<String, Object> properties = new Hashtable<>();
        properties.put(CMQC.TRANSPORT_PROPERTY, CMQC.TRANSPORT_MQSERIES_CLIENT);
        properties.put(CMQC.HOST_NAME_PROPERTY, "127.0.0.1");
        properties.put(CMQC.PORT_PROPERTY, Integer.parseInt(arguments[0]));
        properties.put(CMQC.CHANNEL_PROPERTY, "APP.SVRCONN");
        manager = new MQQueueManager(arguments[1], properties);
        agent = new PCFMessageAgent(manager);
        agent.setWaitInterval(20);
        System.out.println("connected to " + agent.getQManagerName().trim() + ", level " + agent.getCommandLevel());

        queueManager();
        queues();
        status();
        channels();
        listeners();
        channelAuthentication();
        authorities();
        escapes();
        refusals();
        byHand();
        events();
        agent.disconnect();
        System.out.println("done");
    }

    static PCFMessage command(int command, Object... parameters) {
        PCFMessage message = new PCFMessage(command);
        for (int at = 0; at < parameters.length; at += 2) {
            int id = (Integer) parameters[at];
            Object value = parameters[at + 1];
            if (value instanceof String) {
                message.addParameter(id, (String) value);
            } else if (value instanceof String[]) {
                message.addParameter(id, (String[]) value);
            } else if (value instanceof int[]) {
                message.addParameter(id, (int[]) value);
            } else if (value instanceof byte[]) {
                message.addParameter(id, (byte[]) value);
            } else {
                message.addParameter(id, ((Integer) value).intValue());
            }
        }
        return message;
    }

    static PCFMessage[] send(int command, Object... parameters) throws Exception {
        return agent.send(command(command, parameters));
    }

    static String refused(int command, Object... parameters) throws Exception {
        try {
            send(command, parameters);
            return "done";
        } catch (PCFException refusal) {
            return String.valueOf(refusal.reasonCode);
        }
    }

    static String texts(PCFMessage[] replies, int id) throws Exception {
        List<String> all = new ArrayList<>();
        for (PCFMessage reply : replies) {
            all.add(reply.getStringParameterValue(id).trim());
        }
        return String.join(",", all);
    }

    static void events() throws Exception {
        send(CMQCFC.MQCMD_CHANGE_Q_MGR, CMQC.MQIA_PERFORMANCE_EVENT, CMQCFC.MQEVR_ENABLED,
            CMQC.MQIA_CONFIGURATION_EVENT, CMQCFC.MQEVR_ENABLED, CMQC.MQIA_COMMAND_EVENT, CMQCFC.MQEVR_NO_DISPLAY);
        send(CMQCFC.MQCMD_CREATE_Q, CMQC.MQCA_Q_NAME, "PCF.EVENTS", CMQC.MQIA_Q_TYPE, CMQC.MQQT_LOCAL,
            CMQC.MQIA_MAX_Q_DEPTH, 2, CMQC.MQIA_Q_DEPTH_HIGH_LIMIT, 100, CMQC.MQIA_Q_DEPTH_HIGH_EVENT, CMQCFC.MQEVR_ENABLED);
        send(CMQCFC.MQCMD_INQUIRE_Q, CMQC.MQCA_Q_NAME, "PCF.EVENTS");
        send(CMQCFC.MQCMD_CHANGE_Q, CMQC.MQCA_Q_NAME, "PCF.EVENTS", CMQC.MQIA_Q_TYPE, CMQC.MQQT_LOCAL,
            CMQC.MQCA_Q_DESC, "told");
        send(CMQCFC.MQCMD_REFRESH_Q_MGR, CMQCFC.MQIACF_REFRESH_TYPE, CMQCFC.MQRT_CONFIGURATION,
            CMQCFC.MQIACF_OBJECT_TYPE, CMQC.MQOT_LOCAL_Q, CMQCFC.MQCACF_OBJECT_NAME, "PCF.EV*");
        MQQueue queue = manager.accessQueue("PCF.EVENTS", CMQC.MQOO_OUTPUT);
        queue.put(new MQMessage());
        queue.put(new MQMessage());
        queue.close();
        send(CMQCFC.MQCMD_CHANGE_Q_MGR, CMQC.MQIA_PERFORMANCE_EVENT, CMQCFC.MQEVR_DISABLED,
            CMQC.MQIA_CONFIGURATION_EVENT, CMQCFC.MQEVR_DISABLED, CMQC.MQIA_COMMAND_EVENT, CMQCFC.MQEVR_DISABLED);
        PCFMessage depth = event("SYSTEM.ADMIN.PERFM.EVENT", new MQMessage());
        System.out.println("event " + depth.getCommand() + " " + depth.getReason() + " "
            + depth.getStringParameterValue(CMQC.MQCA_BASE_OBJECT_NAME).trim() + ", depth "
            + depth.getIntParameterValue(CMQC.MQIA_HIGH_Q_DEPTH) + ", put " + depth.getIntParameterValue(CMQC.MQIA_MSG_ENQ_COUNT));
        for (int at = 0; at < 2; at++) {
            PCFMessage switched = event("SYSTEM.ADMIN.CONFIG.EVENT", new MQMessage());
            System.out.println("event " + switched.getCommand() + " " + switched.getReason() + " " + switched.getMsgSeqNumber()
                + ", object " + switched.getIntParameterValue(CMQCFC.MQIACF_OBJECT_TYPE) + ", configuration events "
                + switched.getIntParameterValue(CMQC.MQIA_CONFIGURATION_EVENT));
        }
        MQMessage[] messages = {new MQMessage(), new MQMessage(), new MQMessage()};
        for (MQMessage message : messages) {
            PCFMessage change = event("SYSTEM.ADMIN.CONFIG.EVENT", message);
            System.out.println("event " + change.getCommand() + " " + change.getReason() + " " + change.getMsgSeqNumber() + " "
                + change.getStringParameterValue(CMQC.MQCA_Q_NAME).trim() + ", object "
                + change.getIntParameterValue(CMQCFC.MQIACF_OBJECT_TYPE) + ", origin "
                + change.getIntParameterValue(CMQCFC.MQIACF_EVENT_ORIGIN) + ", \""
                + change.getStringParameterValue(CMQC.MQCA_Q_DESC).trim() + "\"");
        }
        PCFMessage refreshed = event("SYSTEM.ADMIN.CONFIG.EVENT", new MQMessage());
        System.out.println("event " + refreshed.getCommand() + " " + refreshed.getReason() + " "
            + refreshed.getStringParameterValue(CMQC.MQCA_Q_NAME).trim() + ", \""
            + refreshed.getStringParameterValue(CMQC.MQCA_Q_DESC).trim() + "\"");
        System.out.println("not refreshed " + refused(CMQCFC.MQCMD_REFRESH_Q_MGR, CMQCFC.MQIACF_REFRESH_TYPE,
            CMQCFC.MQRT_CONFIGURATION) + " " + refused(CMQCFC.MQCMD_REFRESH_Q_MGR, CMQCFC.MQIACF_REFRESH_TYPE,
            CMQCFC.MQRT_PROXYSUB));
        System.out.println("a pair " + Arrays.equals(messages[1].correlationId, messages[2].correlationId));
        for (int at = 0; at < 4; at++) {
            PCFMessage command = event("SYSTEM.ADMIN.COMMAND.EVENT", new MQMessage());
            MQCFGR context = (MQCFGR) command.getParameter(CMQCFC.MQGACF_COMMAND_CONTEXT);
            MQCFGR data = (MQCFGR) command.getParameter(CMQCFC.MQGACF_COMMAND_DATA);
            System.out.println("event " + command.getCommand() + " " + command.getReason() + ", command "
                + context.getIntParameterValue(CMQCFC.MQIACF_COMMAND) + " with " + data.getParameterCount());
        }
    }

    static PCFMessage event(String from, MQMessage message) throws Exception {
        MQQueue queue = manager.accessQueue(from, CMQC.MQOO_INPUT_SHARED);
        MQGetMessageOptions options = new MQGetMessageOptions();
        options.options = CMQC.MQGMO_WAIT | CMQC.MQGMO_NO_SYNCPOINT;
        options.waitInterval = 10_000;
        queue.get(message, options);
        queue.close();
        return new PCFMessage(message);
    }

    static void queueManager() throws Exception {
        System.out.println("ping " + send(CMQCFC.MQCMD_PING_Q_MGR).length);
        PCFMessage all = send(CMQCFC.MQCMD_INQUIRE_Q_MGR)[0];
        System.out.println("queue manager " + all.getStringParameterValue(CMQC.MQCA_Q_MGR_NAME).trim()
            + ", units of " + all.getIntParameterValue(CMQC.MQIA_MAX_UNCOMMITTED_MSGS)
            + ", suite B " + Arrays.toString(all.getIntListParameterValue(CMQC.MQIA_SUITE_B_STRENGTH)));
        int[] wanted = {CMQC.MQCA_Q_MGR_DESC, CMQC.MQIA_PLATFORM};
        PCFMessage some = send(CMQCFC.MQCMD_INQUIRE_Q_MGR, CMQCFC.MQIACF_Q_MGR_ATTRS, wanted)[0];
        System.out.println("of it " + some.getParameterCount() + ", platform " + some.getIntParameterValue(CMQC.MQIA_PLATFORM));
        send(CMQCFC.MQCMD_CHANGE_Q_MGR, CMQC.MQCA_Q_MGR_DESC, "Orders of the day", CMQC.MQIA_MAX_UNCOMMITTED_MSGS, 500);
        some = send(CMQCFC.MQCMD_INQUIRE_Q_MGR, CMQCFC.MQIACF_Q_MGR_ATTRS, wanted)[0];
        System.out.println("changed to " + some.getStringParameterValue(CMQC.MQCA_Q_MGR_DESC).trim());
        PCFMessage status = send(CMQCFC.MQCMD_INQUIRE_Q_MGR_STATUS)[0];
        System.out.println("status " + status.getIntParameterValue(CMQCFC.MQIACF_Q_MGR_STATUS) + ", command server "
            + status.getIntParameterValue(CMQCFC.MQIACF_CMD_SERVER_STATUS));
    }

    static void queues() throws Exception {
        for (String name : new String[] {"PCF.A", "PCF.B", "PCF.C"}) {
            send(CMQCFC.MQCMD_CREATE_Q, CMQC.MQCA_Q_NAME, name, CMQC.MQIA_Q_TYPE, CMQC.MQQT_LOCAL,
                CMQC.MQCA_Q_DESC, "made by a program", CMQC.MQIA_MAX_Q_DEPTH, 10, CMQC.MQIA_SHAREABILITY, 1);
        }
        send(CMQCFC.MQCMD_CREATE_Q, CMQC.MQCA_Q_NAME, "PCF.ALIAS", CMQC.MQIA_Q_TYPE, CMQC.MQQT_ALIAS,
            CMQC.MQCA_BASE_Q_NAME, "PCF.A");
        PCFMessage[] all = send(CMQCFC.MQCMD_INQUIRE_Q, CMQC.MQCA_Q_NAME, "PCF.*");
        System.out.println("queues " + texts(all, CMQC.MQCA_Q_NAME) + ", types " + types(all));
        for (int at = 0; at < all.length; at++) {
            boolean isLast = all[at].getControl() == CMQCFC.MQCFC_LAST;
            if (all[at].getMsgSeqNumber() != at + 1 || isLast != (at == all.length - 1) || all[at].getCompCode() != 0) {
                System.out.println("wrong in the row: " + all[at]);
            }
        }
        all = send(CMQCFC.MQCMD_INQUIRE_Q, CMQC.MQCA_Q_NAME, "PCF.*", CMQC.MQIA_Q_TYPE, CMQC.MQQT_LOCAL,
            CMQCFC.MQIACF_Q_ATTRS, new int[] {CMQC.MQIA_MAX_Q_DEPTH, CMQC.MQCA_Q_DESC});
        System.out.println("local " + texts(all, CMQC.MQCA_Q_NAME) + ", " + all[0].getParameterCount() + " parameters, depth "
            + all[0].getIntParameterValue(CMQC.MQIA_MAX_Q_DEPTH) + ", " + texts(all, CMQC.MQCA_Q_DESC).split(",")[0]);
        send(CMQCFC.MQCMD_CHANGE_Q, CMQC.MQCA_Q_NAME, "PCF.B", CMQC.MQIA_Q_TYPE, CMQC.MQQT_LOCAL,
            CMQC.MQIA_MAX_Q_DEPTH, 20, CMQC.MQIA_INHIBIT_PUT, CMQC.MQQA_PUT_INHIBITED);
        PCFMessage filtered = command(CMQCFC.MQCMD_INQUIRE_Q, CMQC.MQCA_Q_NAME, "*");
        filtered.addFilterParameter(CMQC.MQIA_MAX_Q_DEPTH, CMQCFC.MQCFOP_EQUAL, 20);
        PCFMessage[] found = agent.send(filtered);
        System.out.println("of depth 20 " + texts(found, CMQC.MQCA_Q_NAME) + ", put "
            + found[0].getIntParameterValue(CMQC.MQIA_INHIBIT_PUT));
        filtered = command(CMQCFC.MQCMD_INQUIRE_Q, CMQC.MQCA_Q_NAME, "*");
        filtered.addFilterParameter(CMQC.MQCA_Q_DESC, CMQCFC.MQCFOP_LIKE, "made*");
        System.out.println("made so " + texts(agent.send(filtered), CMQC.MQCA_Q_NAME));
        send(CMQCFC.MQCMD_COPY_Q, CMQCFC.MQCACF_FROM_Q_NAME, "PCF.B", CMQCFC.MQCACF_TO_Q_NAME, "PCF.D",
            CMQC.MQIA_Q_TYPE, CMQC.MQQT_LOCAL);
        PCFMessage names = send(CMQCFC.MQCMD_INQUIRE_Q_NAMES, CMQC.MQCA_Q_NAME, "PCF.*")[0];
        List<String> trimmed = new ArrayList<>();
        for (String name : names.getStringListParameterValue(CMQCFC.MQCACF_Q_NAMES)) {
            trimmed.add(name.trim());
        }
        System.out.println("names " + String.join(",", trimmed) + " "
            + Arrays.toString(names.getIntListParameterValue(CMQCFC.MQIACF_Q_TYPES)));
        send(CMQCFC.MQCMD_DELETE_Q, CMQC.MQCA_Q_NAME, "PCF.D");
        send(CMQCFC.MQCMD_DELETE_Q, CMQC.MQCA_Q_NAME, "PCF.ALIAS", CMQC.MQIA_Q_TYPE, CMQC.MQQT_ALIAS);
    }

    static String types(PCFMessage[] all) throws Exception {
        List<String> types = new ArrayList<>();
        for (PCFMessage one : all) {
            types.add(String.valueOf(one.getIntParameterValue(CMQC.MQIA_Q_TYPE)));
        }
        return String.join(",", types);
    }

    static void status() throws Exception {
        MQQueue queue = manager.accessQueue("PCF.A", CMQC.MQOO_OUTPUT | CMQC.MQOO_INPUT_SHARED);
        queue.put(new MQMessage(), new MQPutMessageOptions());
        queue.put(new MQMessage(), new MQPutMessageOptions());
        PCFMessage status = send(CMQCFC.MQCMD_INQUIRE_Q_STATUS, CMQC.MQCA_Q_NAME, "PCF.A")[0];
        System.out.println("status of a queue: depth " + status.getIntParameterValue(CMQC.MQIA_CURRENT_Q_DEPTH) + ", input "
            + status.getIntParameterValue(CMQC.MQIA_OPEN_INPUT_COUNT) + ", output "
            + status.getIntParameterValue(CMQC.MQIA_OPEN_OUTPUT_COUNT) + ", uncommitted "
            + status.getIntParameterValue(CMQCFC.MQIACF_UNCOMMITTED_MSGS));
        PCFMessage handle = send(CMQCFC.MQCMD_INQUIRE_Q_STATUS, CMQC.MQCA_Q_NAME, "PCF.A",
            CMQCFC.MQIACF_Q_STATUS_TYPE, CMQCFC.MQIACF_Q_HANDLE)[0];
        System.out.println("a handle: input " + handle.getIntParameterValue(CMQCFC.MQIACF_OPEN_INPUT_TYPE) + ", browse "
            + handle.getIntParameterValue(CMQCFC.MQIACF_OPEN_BROWSE) + ", channel "
            + handle.getStringParameterValue(CMQCFC.MQCACH_CHANNEL_NAME).trim());
        System.out.println("open " + refused(CMQCFC.MQCMD_CLEAR_Q, CMQC.MQCA_Q_NAME, "PCF.A"));
        queue.close();
        System.out.println("not empty " + refused(CMQCFC.MQCMD_DELETE_Q, CMQC.MQCA_Q_NAME, "PCF.A"));
        send(CMQCFC.MQCMD_CLEAR_Q, CMQC.MQCA_Q_NAME, "PCF.A");
        status = send(CMQCFC.MQCMD_INQUIRE_Q_STATUS, CMQC.MQCA_Q_NAME, "PCF.A")[0];
        System.out.println("cleared to " + status.getIntParameterValue(CMQC.MQIA_CURRENT_Q_DEPTH));
    }

    static void channels() throws Exception {
        send(CMQCFC.MQCMD_CREATE_CHANNEL, CMQCFC.MQCACH_CHANNEL_NAME, "PCF.SVRCONN",
            CMQCFC.MQIACH_CHANNEL_TYPE, CMQXC.MQCHT_SVRCONN, CMQCFC.MQIACH_MAX_INSTANCES, 7);
        PCFMessage channel = send(CMQCFC.MQCMD_INQUIRE_CHANNEL, CMQCFC.MQCACH_CHANNEL_NAME, "PCF.*")[0];
        System.out.println("channel " + channel.getStringParameterValue(CMQCFC.MQCACH_CHANNEL_NAME).trim() + ", instances "
            + channel.getIntParameterValue(CMQCFC.MQIACH_MAX_INSTANCES));
        send(CMQCFC.MQCMD_CHANGE_CHANNEL, CMQCFC.MQCACH_CHANNEL_NAME, "PCF.SVRCONN",
            CMQCFC.MQIACH_CHANNEL_TYPE, CMQXC.MQCHT_SVRCONN, CMQCFC.MQIACH_MAX_INSTANCES, 8);
        channel = send(CMQCFC.MQCMD_INQUIRE_CHANNEL, CMQCFC.MQCACH_CHANNEL_NAME, "PCF.SVRCONN")[0];
        System.out.println("changed to " + channel.getIntParameterValue(CMQCFC.MQIACH_MAX_INSTANCES));
        PCFMessage names = send(CMQCFC.MQCMD_INQUIRE_CHANNEL_NAMES, CMQCFC.MQCACH_CHANNEL_NAME, "PCF.*")[0];
        System.out.println("names " + names.getStringListParameterValue(CMQCFC.MQCACH_CHANNEL_NAMES)[0].trim());
        PCFMessage status = send(CMQCFC.MQCMD_INQUIRE_CHANNEL_STATUS, CMQCFC.MQCACH_CHANNEL_NAME, "APP.SVRCONN")[0];
        System.out.println("status of a channel " + status.getIntParameterValue(CMQCFC.MQIACH_CHANNEL_STATUS) + ", "
            + status.getStringParameterValue(CMQCFC.MQCACH_CONNECTION_NAME).trim());
        System.out.println("no status " + refused(CMQCFC.MQCMD_INQUIRE_CHANNEL_STATUS, CMQCFC.MQCACH_CHANNEL_NAME, "PCF.SVRCONN"));
        send(CMQCFC.MQCMD_STOP_CHANNEL, CMQCFC.MQCACH_CHANNEL_NAME, "PCF.SVRCONN");
        send(CMQCFC.MQCMD_START_CHANNEL, CMQCFC.MQCACH_CHANNEL_NAME, "PCF.SVRCONN");
        send(CMQCFC.MQCMD_DELETE_CHANNEL, CMQCFC.MQCACH_CHANNEL_NAME, "PCF.SVRCONN");
        System.out.println("deleted " + refused(CMQCFC.MQCMD_DELETE_CHANNEL, CMQCFC.MQCACH_CHANNEL_NAME, "PCF.SVRCONN"));

        PCFMessage[] all = send(CMQCFC.MQCMD_INQUIRE_CONNECTION, CMQCFC.MQBACF_GENERIC_CONNECTION_ID, new byte[0]);
        PCFMessage own = null;
        for (PCFMessage one : all) {
            if (one.getStringParameterValue(CMQCFC.MQCACH_CHANNEL_NAME).trim().equals("APP.SVRCONN")) {
                own = one;
            }
        }
        byte[] id = own.getBytesParameterValue(CMQCFC.MQBACF_CONNECTION_ID);
        PCFMessage[] again = send(CMQCFC.MQCMD_INQUIRE_CONNECTION, CMQCFC.MQBACF_CONNECTION_ID, id);
        System.out.println("connections " + (all.length > 1) + ", own " + again.length + ", " + id.length + " bytes, "
            + Arrays.equals(id, again[0].getBytesParameterValue(CMQCFC.MQBACF_CONNECTION_ID)));
    }

    static void listeners() throws Exception {
        send(CMQCFC.MQCMD_CREATE_LISTENER, CMQCFC.MQCACH_LISTENER_NAME, "PCF.LISTENER",
            CMQCFC.MQIACH_XMIT_PROTOCOL_TYPE, CMQXC.MQXPT_TCP, CMQCFC.MQCACH_IP_ADDRESS, "127.0.0.1");
        System.out.println("not started " + refused(CMQCFC.MQCMD_STOP_CHANNEL_LISTENER,
            CMQCFC.MQCACH_LISTENER_NAME, "PCF.LISTENER"));
        PCFMessage listener = send(CMQCFC.MQCMD_INQUIRE_LISTENER, CMQCFC.MQCACH_LISTENER_NAME, "PCF.*")[0];
        System.out.println("listener at " + listener.getStringParameterValue(CMQCFC.MQCACH_IP_ADDRESS).trim() + ":"
            + listener.getIntParameterValue(CMQCFC.MQIACH_PORT));
        PCFMessage status = send(CMQCFC.MQCMD_INQUIRE_LISTENER_STATUS, CMQCFC.MQCACH_LISTENER_NAME, "PCF.LISTENER")[0];
        System.out.println("its status " + status.getIntParameterValue(CMQCFC.MQIACH_LISTENER_STATUS));
        send(CMQCFC.MQCMD_DELETE_LISTENER, CMQCFC.MQCACH_LISTENER_NAME, "PCF.LISTENER");
    }

    static void channelAuthentication() throws Exception {
        send(CMQCFC.MQCMD_SET_CHLAUTH_REC, CMQCFC.MQCACH_CHANNEL_NAME, "PCF.*", CMQCFC.MQIACF_CHLAUTH_TYPE, CMQCFC.MQCAUT_BLOCKUSER,
            CMQCFC.MQIACF_ACTION, CMQCFC.MQACT_ADD, CMQCFC.MQCACH_MCA_USER_ID_LIST, new String[] {"joe", "ann"});
        Object[] address = {CMQCFC.MQCACH_CHANNEL_NAME, "PCF.*", CMQCFC.MQIACF_CHLAUTH_TYPE, CMQCFC.MQCAUT_ADDRESSMAP,
            CMQCFC.MQIACF_ACTION, CMQCFC.MQACT_ADD, CMQCFC.MQCACH_CONNECTION_NAME, "10.0.0.*",
            CMQCFC.MQIACH_USER_SOURCE, CMQC.MQUSRC_NOACCESS};
        System.out.println("an address " + refused(CMQCFC.MQCMD_SET_CHLAUTH_REC, address) + " "
            + refused(CMQCFC.MQCMD_SET_CHLAUTH_REC, address));
        PCFMessage[] all = send(CMQCFC.MQCMD_INQUIRE_CHLAUTH_RECS, CMQCFC.MQCACH_CHANNEL_NAME, "PCF.*");
        PCFMessage[] blocked = send(CMQCFC.MQCMD_INQUIRE_CHLAUTH_RECS, CMQCFC.MQCACH_CHANNEL_NAME, "PCF.*",
            CMQCFC.MQIACF_CHLAUTH_TYPE, CMQCFC.MQCAUT_BLOCKUSER);
        String[] users = blocked[0].getStringListParameterValue(CMQCFC.MQCACH_MCA_USER_ID_LIST);
        System.out.println("records " + all.length + ", of type " + blocked[0].getIntParameterValue(CMQCFC.MQIACF_CHLAUTH_TYPE)
            + " for " + texts(blocked, CMQCFC.MQCACH_CHANNEL_NAME) + " " + users[0].trim() + "," + users[1].trim());
        send(CMQCFC.MQCMD_SET_CHLAUTH_REC, CMQCFC.MQCACH_CHANNEL_NAME, "PCF.*", CMQCFC.MQIACF_CHLAUTH_TYPE, CMQCFC.MQCAUT_BLOCKUSER,
            CMQCFC.MQIACF_ACTION, CMQCFC.MQACT_REMOVE, CMQCFC.MQCACH_MCA_USER_ID_LIST, new String[] {"joe", "ann"});
        all = send(CMQCFC.MQCMD_INQUIRE_CHLAUTH_RECS, CMQCFC.MQCACH_CHANNEL_NAME, "PCF.*");
        System.out.println("left " + all.length + ", from " + texts(all, CMQCFC.MQCACH_CONNECTION_NAME));
        send(CMQCFC.MQCMD_SET_CHLAUTH_REC, CMQCFC.MQCACH_CHANNEL_NAME, "PCF.*", CMQCFC.MQIACF_CHLAUTH_TYPE,
            CMQCFC.MQCAUT_ADDRESSMAP, CMQCFC.MQIACF_ACTION, CMQCFC.MQACT_REMOVEALL);
        System.out.println("none " + refused(CMQCFC.MQCMD_INQUIRE_CHLAUTH_RECS, CMQCFC.MQCACH_CHANNEL_NAME, "PCF.*"));
    }

    static void authorities() throws Exception {
        Object[] of = {CMQCFC.MQCACF_AUTH_PROFILE_NAME, "PCF.**", CMQCFC.MQIACF_OBJECT_TYPE, CMQC.MQOT_Q,
            CMQCFC.MQCACF_PRINCIPAL_ENTITY_NAMES, new String[] {"joe"}};
        send(CMQCFC.MQCMD_SET_AUTH_REC, with(of, CMQCFC.MQIACF_AUTH_ADD_AUTHS,
            new int[] {CMQCFC.MQAUTH_BROWSE, CMQCFC.MQAUTH_INPUT, CMQCFC.MQAUTH_OUTPUT}));
        send(CMQCFC.MQCMD_SET_AUTH_REC, with(of, CMQCFC.MQIACF_AUTH_REMOVE_AUTHS, new int[] {CMQCFC.MQAUTH_INPUT}));
        Object[] asked = {CMQCFC.MQIACF_AUTH_OPTIONS, CMQCFC.MQAUTHOPT_NAME_ALL_MATCHING | CMQCFC.MQAUTHOPT_ENTITY_EXPLICIT,
            CMQCFC.MQCACF_AUTH_PROFILE_NAME, "PCF.A", CMQCFC.MQIACF_OBJECT_TYPE, CMQC.MQOT_Q,
            CMQCFC.MQCACF_ENTITY_NAME, "joe", CMQCFC.MQIACF_ENTITY_TYPE, 1};
        PCFMessage one = send(CMQCFC.MQCMD_INQUIRE_AUTH_RECS, asked)[0];
        System.out.println("authorities of " + one.getStringParameterValue(CMQCFC.MQCACF_ENTITY_NAME).trim() + " with "
            + one.getStringParameterValue(CMQCFC.MQCACF_AUTH_PROFILE_NAME).trim() + " "
            + Arrays.toString(one.getIntListParameterValue(CMQCFC.MQIACF_AUTHORIZATION_LIST)) + ", object "
            + one.getIntParameterValue(CMQCFC.MQIACF_OBJECT_TYPE) + ", in "
            + one.getStringParameterValue(CMQC.MQCA_Q_MGR_NAME).trim());
        send(CMQCFC.MQCMD_DELETE_AUTH_REC, of);
        System.out.println("none " + refused(CMQCFC.MQCMD_INQUIRE_AUTH_RECS, asked) + " "
            + refused(CMQCFC.MQCMD_DELETE_AUTH_REC, of));
    }

    static Object[] with(Object[] parameters, int id, Object value) {
        Object[] more = Arrays.copyOf(parameters, parameters.length + 2);
        more[parameters.length] = id;
        more[parameters.length + 1] = value;
        return more;
    }

    static PCFMessage[] escape(String text) throws Exception {
        return send(CMQCFC.MQCMD_ESCAPE, CMQCFC.MQIACF_ESCAPE_TYPE, CMQCFC.MQET_MQSC, CMQCFC.MQCACF_ESCAPE_TEXT, text);
    }

    static void escapes() throws Exception {
        System.out.println(texts(escape("DEFINE QLOCAL(PCF.E) DESCR('by MQSC')"), CMQCFC.MQCACF_ESCAPE_TEXT));
        PCFMessage[] shown = escape("DISPLAY QLOCAL(PCF.*) MAXDEPTH");
        System.out.println("shown " + shown.length + ", the last as");
        System.out.println(shown[shown.length - 1].getStringParameterValue(CMQCFC.MQCACF_ESCAPE_TEXT));
        for (String wrong : new String[] {"DISPLAY QLOCAL(NONE)", "DEFINE QLOCAL(", "ALTER QLOCAL(PCF.E) MAXDEPTH(-1)"}) {
            try {
                escape(wrong);
                System.out.println("done");
            } catch (PCFException refusal) {
                PCFMessage[] source = (PCFMessage[]) refusal.exceptionSource;
                String text = source[0].getStringParameterValue(CMQCFC.MQCACF_ESCAPE_TEXT);
                System.out.println(refusal.reasonCode + " " + text.split("\n")[0]);
            }
        }
        send(CMQCFC.MQCMD_DELETE_Q, CMQC.MQCA_Q_NAME, "PCF.E");
    }

    static void refusals() throws Exception {
        int local = CMQC.MQQT_LOCAL;
        System.out.println("there already " + refused(CMQCFC.MQCMD_CREATE_Q, CMQC.MQCA_Q_NAME, "PCF.A", CMQC.MQIA_Q_TYPE, local));
        System.out.println("replaced " + refused(CMQCFC.MQCMD_CREATE_Q, CMQC.MQCA_Q_NAME, "PCF.A", CMQC.MQIA_Q_TYPE, local,
            CMQCFC.MQIACF_REPLACE, CMQCFC.MQRP_YES));
        System.out.println("not there " + refused(CMQCFC.MQCMD_INQUIRE_Q, CMQC.MQCA_Q_NAME, "NONE")
            + " " + refused(CMQCFC.MQCMD_DELETE_Q, CMQC.MQCA_Q_NAME, "NONE")
            + " " + refused(CMQCFC.MQCMD_INQUIRE_CHANNEL, CMQCFC.MQCACH_CHANNEL_NAME, "NONE"));
        System.out.println("no value " + refused(CMQCFC.MQCMD_CREATE_Q, CMQC.MQCA_Q_NAME, "X", CMQC.MQIA_Q_TYPE, local,
            CMQC.MQIA_MAX_Q_DEPTH, -7));
        System.out.println("no type " + refused(CMQCFC.MQCMD_CREATE_Q, CMQC.MQCA_Q_NAME, "X", CMQC.MQIA_Q_TYPE, 99)
            + " " + refused(CMQCFC.MQCMD_CREATE_Q, CMQC.MQCA_Q_NAME, "X"));
        System.out.println("no parameter " + refused(CMQCFC.MQCMD_INQUIRE_CONNECTION, CMQCFC.MQCACH_CHANNEL_NAME, "X")
            + " " + refused(CMQCFC.MQCMD_PING_Q_MGR, CMQC.MQIA_Q_TYPE, local));
        System.out.println("no channel of that type " + refused(CMQCFC.MQCMD_CREATE_CHANNEL, CMQCFC.MQCACH_CHANNEL_NAME, "X",
            CMQCFC.MQIACH_CHANNEL_TYPE, CMQXC.MQCHT_SENDER));
        System.out.println("not done here " + refused(CMQCFC.MQCMD_CHANGE_Q, CMQC.MQCA_Q_NAME, "PCF.A", CMQC.MQIA_Q_TYPE, local,
            CMQC.MQIA_USAGE, CMQC.MQUS_TRANSMISSION));
        System.out.println("no command " + refused(999) + " " + refused(CMQCFC.MQCMD_INQUIRE_NAMELIST));
    }

    // Without the agent: the options of the message, both byte orders, and what is no command.
    static void byHand() throws Exception {
        MQQueue commands = manager.accessQueue("SYSTEM.ADMIN.COMMAND.QUEUE", CMQC.MQOO_OUTPUT);
        MQQueue replies = manager.accessQueue("PCF.C", CMQC.MQOO_INPUT_SHARED);
        for (int encoding : new int[] {273, 546}) {
            for (int ccsid : new int[] {1208, 819, 850}) {
                MQMessage put = new MQMessage();
                put.format = CMQC.MQFMT_ADMIN;
                put.messageType = CMQC.MQMT_REQUEST;
                put.replyToQueueName = "PCF.C";
                put.encoding = encoding;
                put.characterSet = ccsid;
                boolean passes = encoding == 546;
                put.report = passes ? CMQC.MQRO_PASS_CORREL_ID | CMQC.MQRO_PASS_MSG_ID : 0;
                put.correlationId = "mine 6789012345678901234".getBytes();
                new MQCFH(CMQCFC.MQCMD_INQUIRE_Q, 2).write(put);
                new MQCFST(CMQC.MQCA_Q_NAME, "PCF.A").write(put);
                new MQCFIN(CMQC.MQIA_Q_TYPE, CMQC.MQQT_LOCAL).write(put);
                commands.put(put, new MQPutMessageOptions());
                MQMessage got = new MQMessage();
                MQGetMessageOptions options = new MQGetMessageOptions();
                options.options = CMQC.MQGMO_WAIT;
                options.waitInterval = 20_000;
                replies.get(got, options);
                boolean isPassed = Arrays.equals(got.messageId, put.messageId) && Arrays.equals(got.correlationId, put.correlationId);
                boolean isAnswer = Arrays.equals(got.correlationId, put.messageId);
                PCFMessage reply = new PCFMessage(got);
                if (reply.getReason() != 0) {
                    System.out.println("refused in " + encoding + " " + ccsid + ": " + reply.getReason());
                } else if (got.messageType != CMQC.MQMT_REPLY || got.encoding != encoding || got.characterSet != ccsid
                    || !(passes ? isPassed : isAnswer) || !got.putApplicationName.trim().equals("amqpcsea")
                    || !reply.getStringParameterValue(CMQC.MQCA_Q_NAME).trim().equals("PCF.A")) {
                    System.out.println("wrong in " + encoding + " " + ccsid + ": " + got + reply);
                }
            }
        }
        System.out.println("by hand in both orders and three character sets");

        MQQueue dead = manager.accessQueue("DEAD.PCF", CMQC.MQOO_INPUT_SHARED);
        MQMessage text = new MQMessage();
        text.format = CMQC.MQFMT_STRING;
        text.writeString("no command");
        commands.put(text, new MQPutMessageOptions());
        MQMessage cut = new MQMessage();
        cut.format = CMQC.MQFMT_ADMIN;
        new MQCFH(CMQCFC.MQCMD_INQUIRE_Q, 2).write(cut);
        commands.put(cut, new MQPutMessageOptions());
        System.out.println("dead " + reason(dead) + " " + reason(dead));
        MQMessage lost = new MQMessage();
        lost.format = CMQC.MQFMT_ADMIN;
        lost.messageType = CMQC.MQMT_REQUEST;
        lost.replyToQueueName = "NOWHERE";
        new MQCFH(CMQCFC.MQCMD_PING_Q_MGR, 0).write(lost);
        commands.put(lost, new MQPutMessageOptions());
        System.out.println("a reply without a place " + reason(dead));
    }

    // From the header in front of it.
    static int reason(MQQueue dead) throws Exception {
        MQMessage got = new MQMessage();
        MQGetMessageOptions options = new MQGetMessageOptions();
        options.options = CMQC.MQGMO_WAIT;
        options.waitInterval = 20_000;
        dead.get(got, options);
        return new com.ibm.mq.headers.MQDLH(got).getReason();
    }
}
