package com.github.liftoffmq.admin;

import static com.github.liftoffmq.admin.Scene.ABSENT;
import static com.github.liftoffmq.admin.Scene.BROADCAST;
import static com.github.liftoffmq.admin.Scene.BROKER;
import static com.github.liftoffmq.admin.Scene.CLUSTER;
import static com.github.liftoffmq.admin.Scene.ORDERED;
import static com.github.liftoffmq.admin.Scene.ORDERLY;
import static com.github.liftoffmq.admin.Scene.PLAIN;
import static com.github.liftoffmq.admin.Scene.POP;
import static com.github.liftoffmq.admin.Scene.POPPED;
import static com.github.liftoffmq.admin.Scene.PRODUCERS;
import static com.github.liftoffmq.admin.Scene.PULL;
import static com.github.liftoffmq.admin.Scene.PUSH;
import static com.github.liftoffmq.admin.Scene.WAITING;
import static com.github.liftoffmq.admin.Scene.clientId;
import static com.github.liftoffmq.admin.Scene.until;

import java.io.PrintStream;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.common.message.MessageRequestMode;
import org.apache.rocketmq.remoting.protocol.body.AclInfo;
import org.apache.rocketmq.remoting.protocol.body.UserInfo;
import org.apache.rocketmq.remoting.protocol.header.ExportRocksDBConfigToJsonRequestHeader.ConfigType;
import org.apache.rocketmq.remoting.protocol.statictopic.LogicQueueMappingItem;
import org.apache.rocketmq.remoting.protocol.statictopic.TopicQueueMappingDetail;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;
import org.apache.rocketmq.tools.admin.MQAdminExt;

/**
 * Calls every method of the administration library, mostly once for something that is there and once for something that
 * is not. What each call comes to is written down; it is for the tests to compare.
 */
final class Methods {
    private static final long LONG = 20000;

    private final Scene scene;
    private final String broker;
    private final List<String> namesrvs;
    private final DefaultMQAdminExt plain; // not written down
    private final Recorder recorder;
    private final MQAdminExt admin;

    Methods(Scene scene, PrintStream out) throws Exception {
        this.scene = scene;
        this.broker = scene.broker;
        this.namesrvs = Collections.singletonList(scene.namesrv);
        this.plain = scene.admin("looks");
        this.recorder = new Recorder(scene.admin("asks"), out);
        this.admin = recorder.admin();
    }

    void run() throws Exception {
        plain.start();
        admin.start();
        recorder.name(scene.broker, "<broker>");
        recorder.name(scene.namesrv, "<namesrv>");
        topics();
        scene.produce();
        scene.sent.forEach((key, result) -> {
            recorder.name(result.getMsgId(), "<id of " + key + ">");
            recorder.name(result.getOffsetMsgId(), "<offset id of " + key + ">");
        });
        scene.consume(plain);
        topicStatistics();
        messages();
        groups();
        connections();
        consumeStatistics();
        offsets();
        resets();
        consumers();
        brokers();
        namesrv();
        staticTopics();
        transactions();
        cleaning();
        highAvailability();
        controllers();
        coldData();
        users();
        acls();
        lite();
        rocksDB();
        deletions();
        attempt(() -> admin.shutdown());
        report();
        scene.close();
        plain.shutdown();
    }

    /** The last line: which methods nobody called. */
    private void report() {
        Map<String, Object> last = new LinkedHashMap<>();
        last.put("forgotten", recorder.forgotten());
        recorder.write(last);
    }

    private interface Action {
        void run() throws Exception;
    }

    /** Makes a call that may fail, which is an answer like any other. */
    private static void attempt(Action action) {
        try {
            action.run();
        } catch (Exception e) {
            // it is written down
        }
    }

    private static Properties properties(String... pairs) {
        Properties all = new Properties();
        for (int i = 0; i < pairs.length; i += 2) {
            all.setProperty(pairs[i], pairs[i + 1]);
        }
        return all;
    }

    private void topics() throws Exception {
        scene.makeTopics(admin, plain);
        attempt(() -> admin.createAndUpdateTopicConfig(broker, new TopicConfig("bad/name", 1, 1, 6, 0)));
        attempt(() -> admin.createAndUpdateTopicConfig(broker, new TopicConfig("SCHEDULE_TOPIC_XXXX", 1, 1, 6, 0)));
        TopicConfig odd = new TopicConfig("odd", 1, 1, 6, 0);
        odd.getAttributes().put("+no.such.attribute", "1");
        attempt(() -> admin.createAndUpdateTopicConfig(broker, odd));
        TopicConfig ordered = new TopicConfig("ordered_attributes", 2, 2, 6, 0);
        ordered.setOrder(true);
        ordered.getAttributes().put("+message.type", "FIFO");
        attempt(() -> admin.createAndUpdateTopicConfig(broker, ordered));
        attempt(() -> admin.createAndUpdateTopicConfigList(broker, Arrays.asList(new TopicConfig("list_a", 1, 2, 6, 0), new TopicConfig("list_b", 3, 3, 4, 0))));
        attempt(() -> admin.createAndUpdateTopicConfigList(broker, Arrays.asList(new TopicConfig("list_c", 1, 1, 6, 0), new TopicConfig("bad name", 1, 1, 6, 0))));
        attempt(() -> admin.createTopic(CLUSTER, "by_key", 2, new HashMap<>()));
        attempt(() -> admin.createTopic(CLUSTER, "by_key_unit", 2, 1, Collections.singletonMap("+message.type", "DELAY")));
        attempt(() -> admin.createTopic("no_such_key", "by_no_key", 2, new HashMap<>()));
        for (String topic : new String[] {"ordered_attributes", "list_a", "list_b", "by_key", "by_key_unit"}) {
            until("a route to " + topic, () -> plain.examineTopicRouteInfo(topic) != null);
        }
        for (String topic : new String[] {PLAIN, "ordered_attributes", "by_key", "by_key_unit", "list_a", "list_c", "TBW102", "no_such_topic"}) {
            attempt(() -> admin.examineTopicConfig(broker, topic));
            attempt(() -> admin.examineTopicRouteInfo(topic));
        }
        attempt(() -> admin.fetchAllTopicList());
        attempt(() -> admin.fetchTopicsByCLuster(CLUSTER));
        attempt(() -> admin.fetchTopicsByCLuster("no_such_cluster"));
        attempt(() -> admin.getAllTopicConfig(broker, LONG));
        attempt(() -> admin.getUserTopicConfig(broker, true, LONG));
        attempt(() -> admin.getUserTopicConfig(broker, false, LONG));
        attempt(() -> admin.getTopicClusterList(PLAIN));
        attempt(() -> admin.getTopicClusterList("no_such_topic"));
        attempt(() -> admin.getClusterList(PLAIN));
    }

    private void topicStatistics() throws Exception {
        for (String topic : new String[] {PLAIN, ORDERED, "list_a", "%RETRY%" + PUSH, "no_such_topic"}) {
            attempt(() -> admin.examineTopicStats(topic));
            attempt(() -> admin.examineTopicStats(broker, topic));
            attempt(() -> admin.examineTopicStatsConcurrent(topic));
        }
        for (String[] stats : new String[][] {{"TOPIC_PUT_NUMS", PLAIN}, {"GROUP_GET_NUMS", PLAIN + "@" + PUSH}, {"TOPIC_PUT_NUMS", "no_such_topic"}, {"NO_SUCH_STATS", PLAIN}}) {
            attempt(() -> admin.viewBrokerStatsData(broker, stats[0], stats[1]));
        }
    }

    private void messages() throws Exception {
        MessageQueue queue = new MessageQueue(PLAIN, BROKER, 1);
        SendResult first = scene.sent.get("plain-1-0");
        until("the index", () -> plain.queryMessage(PLAIN, "plain-1-3", 10, 0, Long.MAX_VALUE).getMessageList().size() == 1);
        attempt(() -> admin.maxOffset(queue));
        attempt(() -> admin.minOffset(queue));
        attempt(() -> admin.earliestMsgStoreTime(queue));
        attempt(() -> admin.earliestMsgStoreTime(new MessageQueue("list_a", BROKER, 0)));
        attempt(() -> admin.maxOffset(new MessageQueue("no_such_topic", BROKER, 0)));
        attempt(() -> admin.minOffset(new MessageQueue(PLAIN, BROKER, 99)));
        attempt(() -> admin.searchOffset(queue, 0));
        attempt(() -> admin.searchOffset(queue, Long.MAX_VALUE / 2));
        attempt(() -> admin.searchOffset(broker, PLAIN, 1, 0, LONG));
        attempt(() -> admin.searchOffset(broker, PLAIN, 1, Long.MAX_VALUE / 4, LONG));
        attempt(() -> admin.searchOffset(broker, "no_such_topic", 1, 0, LONG));
        attempt(() -> admin.queryMessage(PLAIN, "plain-1-3", 10, 0, Long.MAX_VALUE));
        attempt(() -> admin.queryMessage(PLAIN, "no_such_key", 10, 0, Long.MAX_VALUE));
        attempt(() -> admin.queryMessage("no_such_topic", "plain-1-3", 10, 0, Long.MAX_VALUE));
        attempt(() -> admin.viewMessage(PLAIN, first.getMsgId()));
        attempt(() -> admin.viewMessage(PLAIN, first.getOffsetMsgId()));
        attempt(() -> admin.viewMessage(PLAIN, first.getOffsetMsgId().substring(0, 16) + "00000000000FFFFF"));
        attempt(() -> admin.viewMessage(PLAIN, "no_such_id"));
        attempt(() -> admin.queryMessage(CLUSTER, PLAIN, first.getMsgId()));
        attempt(() -> admin.queryMessage(CLUSTER, PLAIN, "no_such_id"));
        MessageExt message = plain.viewMessage(PLAIN, first.getMsgId());
        attempt(() -> admin.messageTrackDetail(message));
        attempt(() -> admin.messageTrackDetailConcurrent(message));
        for (String group : new String[] {null, PUSH, ABSENT}) {
            attempt(() -> admin.queryConsumeQueue(broker, PLAIN, 1, 0, 10, group));
        }
        attempt(() -> admin.queryConsumeQueue(broker, PLAIN, 1, 3, 1, PUSH));
        attempt(() -> admin.queryConsumeQueue(broker, PLAIN, 1, 99, 10, PUSH));
        attempt(() -> admin.queryConsumeQueue(broker, PLAIN, 99, 0, 10, null));
        attempt(() -> admin.queryConsumeQueue(broker, "no_such_topic", 0, 0, 10, null));
    }

    private void groups() throws Exception {
        SubscriptionGroupConfig config = new SubscriptionGroupConfig();
        config.setGroupName(ABSENT);
        attempt(() -> admin.createAndUpdateSubscriptionGroupConfig(broker, config));
        config.setConsumeBroadcastEnable(false);
        config.setRetryMaxTimes(3);
        config.setConsumeMessageOrderly(true);
        attempt(() -> admin.createAndUpdateSubscriptionGroupConfig(broker, config));
        SubscriptionGroupConfig bad = new SubscriptionGroupConfig();
        bad.setGroupName("bad group");
        attempt(() -> admin.createAndUpdateSubscriptionGroupConfig(broker, bad));
        SubscriptionGroupConfig listed = new SubscriptionGroupConfig();
        listed.setGroupName("group_listed");
        attempt(() -> admin.createAndUpdateSubscriptionGroupConfigList(broker, Arrays.asList(listed, config)));
        attempt(() -> admin.createAndUpdateSubscriptionGroupConfigList(broker, Arrays.asList(bad, listed)));
        for (String group : new String[] {ABSENT, "group_listed", PUSH, POP, "bad group", "no_such_group"}) {
            attempt(() -> admin.examineSubscriptionGroupConfig(broker, group));
        }
        attempt(() -> admin.getAllSubscriptionGroup(broker, LONG));
        attempt(() -> admin.getUserSubscriptionGroup(broker, LONG));
        attempt(() -> admin.updateAndGetGroupReadForbidden(broker, ABSENT, PLAIN, false));
        attempt(() -> admin.updateAndGetGroupReadForbidden(broker, ABSENT, PLAIN, null));
        attempt(() -> admin.updateAndGetGroupReadForbidden(broker, ABSENT, PLAIN, true));
        attempt(() -> admin.updateAndGetGroupReadForbidden(broker, "no_such_group", PLAIN, null));
        attempt(() -> admin.setMessageRequestMode(broker, WAITING, ABSENT, MessageRequestMode.POP, 3, LONG));
        attempt(() -> admin.setMessageRequestMode(broker, WAITING, ABSENT, MessageRequestMode.PULL, 0, LONG));
        attempt(() -> admin.setMessageRequestMode(broker, "%RETRY%" + ABSENT, ABSENT, MessageRequestMode.POP, 0, LONG));
    }

    private void connections() throws Exception {
        for (String group : new String[] {PUSH, ORDERLY, BROADCAST, PULL, POP, ABSENT, "no_such_group"}) {
            attempt(() -> admin.examineConsumerConnectionInfo(group));
            attempt(() -> admin.examineConsumerConnectionInfo(group, broker));
            attempt(() -> admin.queryTopicsByConsumer(group));
            attempt(() -> admin.queryTopicsByConsumerConcurrent(group));
        }
        attempt(() -> admin.examineProducerConnectionInfo(PRODUCERS, PLAIN));
        attempt(() -> admin.examineProducerConnectionInfo("no_such_group", PLAIN));
        attempt(() -> admin.examineProducerConnectionInfo(PRODUCERS, "no_such_topic"));
        attempt(() -> admin.getAllProducerInfo(broker));
        for (String topic : new String[] {PLAIN, ORDERED, POPPED, WAITING, "no_such_topic"}) {
            attempt(() -> admin.queryTopicConsumeByWho(topic));
        }
        attempt(() -> admin.querySubscription(PUSH, PLAIN));
        attempt(() -> admin.querySubscription(POP, POPPED));
        attempt(() -> admin.querySubscription(PUSH, ORDERED));
        attempt(() -> admin.querySubscription(ABSENT, PLAIN));
    }

    private void consumeStatistics() throws Exception {
        for (String group : new String[] {PUSH, ORDERLY, BROADCAST, PULL, POP, ABSENT, "no_such_group"}) {
            attempt(() -> admin.examineConsumeStats(group));
            attempt(() -> admin.examineConsumeStats(group, PLAIN));
            attempt(() -> admin.examineConsumeStats(CLUSTER, group, PLAIN));
            attempt(() -> admin.examineConsumeStats(broker, group, PLAIN, LONG));
            attempt(() -> admin.examineConsumeStats(broker, group, null, LONG));
            attempt(() -> admin.examineConsumeStatsConcurrent(group, PLAIN));
            attempt(() -> admin.queryConsumeTimeSpan(PLAIN, group));
            attempt(() -> admin.queryConsumeTimeSpanConcurrent(PLAIN, group));
        }
        attempt(() -> admin.queryConsumeTimeSpan("no_such_topic", PUSH));
        attempt(() -> admin.fetchConsumeStatsInBroker(broker, false, LONG));
        attempt(() -> admin.fetchConsumeStatsInBroker(broker, true, LONG));
    }

    private void offsets() throws Exception {
        for (int queue : new int[] {0, 1, 2, 3}) {
            attempt(() -> admin.updateConsumeOffset(broker, ABSENT, new MessageQueue(PLAIN, BROKER, queue), queue));
        }
        attempt(() -> admin.updateConsumeOffset(broker, ABSENT, new MessageQueue("no_such_topic", BROKER, 0), 1));
        attempt(() -> admin.updateConsumeOffset(broker, ABSENT, new MessageQueue(PLAIN, BROKER, 0), 1000));
        attempt(() -> admin.examineConsumeStats(broker, ABSENT, PLAIN, LONG));
        attempt(() -> admin.updateConsumeOffset(broker, ABSENT, new MessageQueue(PLAIN, BROKER, 0), 0));
        attempt(() -> admin.cloneGroupOffset(PUSH, "group_listed", PLAIN, true));
        attempt(() -> admin.cloneGroupOffset(ORDERLY, "group_listed", PLAIN, false));
        attempt(() -> admin.cloneGroupOffset("no_such_group", "group_listed", PLAIN, true));
        attempt(() -> admin.examineConsumeStats(broker, "group_listed", PLAIN, LONG));
        attempt(() -> admin.queryConsumeTimeSpan(PLAIN, ABSENT));
    }

    private void resets() throws Exception {
        attempt(() -> admin.resetOffsetByTimestampOld(ABSENT, PLAIN, 0, false));
        attempt(() -> admin.resetOffsetByTimestampOld(ABSENT, PLAIN, -1, true));
        attempt(() -> admin.resetOffsetByTimestampOld(ABSENT, "no_such_topic", -1, true));
        attempt(() -> admin.examineConsumeStats(broker, ABSENT, PLAIN, LONG));
        attempt(() -> admin.resetOffsetByTimestamp(PLAIN, ABSENT, 0, false));
        attempt(() -> admin.resetOffsetByTimestamp(PLAIN, ABSENT, -1, true));
        attempt(() -> admin.resetOffsetByTimestamp(PLAIN, ABSENT, -1, false));
        attempt(() -> admin.resetOffsetByTimestamp(CLUSTER, PLAIN, ABSENT, 0, true));
        attempt(() -> admin.resetOffsetByTimestamp("no_such_topic", ABSENT, 0, true));
        attempt(() -> admin.resetOffsetByTimestamp(PLAIN, "no_such_group", 0, true));
        attempt(() -> admin.resetOffsetNew(ABSENT, PLAIN, 0));
        attempt(() -> admin.resetOffsetNew("no_such_group", PLAIN, 0));
        attempt(() -> admin.resetOffsetNewConcurrent(ABSENT, PLAIN, -1));
        attempt(() -> admin.resetOffsetNewConcurrent(ABSENT, "no_such_topic", -1));
        attempt(() -> admin.resetOffsetByQueueId(broker, ABSENT, PLAIN, 2, 3));
        attempt(() -> admin.resetOffsetByQueueId(broker, ABSENT, PLAIN, 2, 300));
        attempt(() -> admin.resetOffsetByQueueId(broker, "no_such_group", PLAIN, 2, 3));
        attempt(() -> admin.examineConsumeStats(broker, ABSENT, PLAIN, LONG));
        int before = scene.consumed(PUSH);
        attempt(() -> admin.resetOffsetByTimestamp(PLAIN, PUSH, 0, true));
        until("the messages again", () -> scene.consumed(PUSH) >= before + 20);
        scene.commit();
        until("the offsets again", () -> plain.examineConsumeStats(broker, PUSH, PLAIN, LONG).computeTotalDiff() == 0);
        attempt(() -> admin.examineConsumeStats(broker, PUSH, PLAIN, LONG));
    }

    private void consumers() throws Exception {
        for (String group : new String[] {PUSH, ORDERLY, PULL, POP, "no_such_group"}) {
            attempt(() -> admin.getConsumerRunningInfo(group, clientId(group), false));
            attempt(() -> admin.getConsumerRunningInfo(group, clientId(group), true, true));
        }
        attempt(() -> admin.getConsumerRunningInfo(PUSH, "no_such_client", false));
        attempt(() -> admin.getConsumeStatus(PLAIN, PUSH, ""));
        attempt(() -> admin.getConsumeStatus(PLAIN, PUSH, clientId(PUSH)));
        attempt(() -> admin.getConsumeStatus(PLAIN, PUSH, "no_such_client"));
        attempt(() -> admin.getConsumeStatus(PLAIN, "no_such_group", ""));
        SendResult sent = scene.sent.get("plain-2-1");
        attempt(() -> admin.consumeMessageDirectly(PUSH, clientId(PUSH), PLAIN, sent.getMsgId()));
        attempt(() -> admin.consumeMessageDirectly(PUSH, clientId(PUSH), PLAIN, sent.getOffsetMsgId()));
        attempt(() -> admin.consumeMessageDirectly(CLUSTER, PUSH, clientId(PUSH), PLAIN, sent.getMsgId()));
        attempt(() -> admin.consumeMessageDirectly(ORDERLY, clientId(ORDERLY), ORDERED, scene.sent.get("ordered-0-1").getMsgId()));
        attempt(() -> admin.consumeMessageDirectly(PUSH, "no_such_client", PLAIN, sent.getMsgId()));
        attempt(() -> admin.consumeMessageDirectly("no_such_group", clientId(PUSH), PLAIN, sent.getMsgId()));
    }

    private void brokers() throws Exception {
        attempt(() -> admin.examineBrokerClusterInfo());
        attempt(() -> admin.fetchBrokerRuntimeStats(broker));
        attempt(() -> admin.getBrokerConfig(broker));
        attempt(() -> admin.updateBrokerConfig(broker, properties("longPollingEnable", "true", "flushDiskType", "ASYNC_FLUSH", "maxMessageSize", "4194305")));
        attempt(() -> admin.updateBrokerConfig(broker, properties("brokerConfigPath", "/nowhere")));
        attempt(() -> admin.updateBrokerConfig(broker, properties("brokerPermission", "4")));
        until("what that comes to", () -> plain.examineTopicRouteInfo(PLAIN).getQueueDatas().get(0).getPerm() == 4);
        attempt(() -> admin.examineTopicRouteInfo(PLAIN));
        attempt(() -> admin.updateBrokerConfig(broker, properties("brokerPermission", "6")));
        until("what that comes to", () -> plain.examineTopicRouteInfo(PLAIN).getQueueDatas().get(0).getPerm() == 6);
        attempt(() -> admin.getBrokerConfig(broker));
        attempt(() -> admin.addBrokerToContainer(broker, "/nowhere/broker.conf"));
        attempt(() -> admin.removeBrokerFromContainer(broker, CLUSTER, BROKER, 1));
        attempt(() -> admin.switchTimerEngine(broker, "F"));
        attempt(() -> admin.switchTimerEngine(broker, "no_such_engine"));
        attempt(() -> admin.exportPopRecords(broker, LONG));
    }

    private void namesrv() throws Exception {
        attempt(() -> admin.getNameServerAddressList());
        attempt(() -> admin.putKVConfig("space", "key", "does nothing"));
        attempt(() -> admin.createAndUpdateKvConfig("space", "key", "value"));
        attempt(() -> admin.createAndUpdateKvConfig("space", "other", "änother value"));
        attempt(() -> admin.getKVConfig("space", "key"));
        attempt(() -> admin.getKVConfig("space", "no_such_key"));
        attempt(() -> admin.getKVConfig("no_such_space", "key"));
        attempt(() -> admin.getKVListByNamespace("space"));
        attempt(() -> admin.getKVListByNamespace("no_such_space"));
        attempt(() -> admin.deleteKvConfig("space", "key"));
        attempt(() -> admin.deleteKvConfig("space", "no_such_key"));
        attempt(() -> admin.getKVListByNamespace("space"));
        attempt(() -> admin.createOrUpdateOrderConf(ORDERED, "broker-a:4", true));
        attempt(() -> admin.createOrUpdateOrderConf(ORDERED, "broker-b:4", false));
        attempt(() -> admin.getKVConfig("ORDER_TOPIC_CONFIG", ORDERED));
        attempt(() -> admin.examineTopicRouteInfo(ORDERED));
        attempt(() -> admin.deleteKvConfig("ORDER_TOPIC_CONFIG", ORDERED));
        attempt(() -> admin.getNameServerConfig(namesrvs));
        attempt(() -> admin.getNameServerConfig(null));
        attempt(() -> admin.updateNameServerConfig(properties("orderMessageEnable", "true", "scanNotActiveBrokerInterval", "4000"), namesrvs));
        attempt(() -> admin.updateNameServerConfig(properties("orderMessageEnable", "false"), null));
        attempt(() -> admin.updateNameServerConfig(properties("kvConfigPath", "/nowhere"), namesrvs));
        attempt(() -> admin.getNameServerConfig(namesrvs));
        attempt(() -> admin.wipeWritePermOfBroker(scene.namesrv, BROKER));
        attempt(() -> admin.examineTopicRouteInfo(PLAIN));
        attempt(() -> admin.addWritePermOfBroker(scene.namesrv, BROKER));
        attempt(() -> admin.examineTopicRouteInfo(PLAIN));
        attempt(() -> admin.wipeWritePermOfBroker(scene.namesrv, "no_such_broker"));
        attempt(() -> admin.addWritePermOfBroker(scene.namesrv, "no_such_broker"));
    }

    private void staticTopics() throws Exception {
        TopicConfig config = new TopicConfig("static_topic", 2, 2, 6, 0);
        TopicQueueMappingDetail mapping = new TopicQueueMappingDetail("static_topic", 2, BROKER, 1000);
        for (int queue = 0; queue < 2; queue++) {
            LogicQueueMappingItem item = new LogicQueueMappingItem(0, queue, BROKER, 0, 0, -1, -1, -1);
            TopicQueueMappingDetail.putMappingInfo(mapping, queue, Collections.singletonList(item));
        }
        attempt(() -> admin.createStaticTopic(broker, "TBW102", config, mapping, false));
        attempt(() -> admin.examineTopicConfig(broker, "static_topic"));
        until("a route to it", () -> plain.examineTopicRouteInfo("static_topic").getTopicQueueMappingByBroker() != null);
        attempt(() -> admin.examineTopicRouteInfo("static_topic"));
        attempt(() -> admin.examineTopicStats("static_topic"));
        attempt(() -> admin.createStaticTopic(broker, "TBW102", config, new TopicQueueMappingDetail("another_name", 1, BROKER, 1), false));
    }

    private void transactions() throws Exception {
        Message message = new Message(WAITING, "half", "half-1", "a half message".getBytes());
        SendResult half = scene.transactions.sendMessageInTransaction(message, LocalTransactionState.UNKNOW);
        recorder.name(half.getMsgId(), "<id of half-1>");
        attempt(() -> admin.resumeCheckHalfMessage("RMQ_SYS_TRANS_HALF_TOPIC", half.getMsgId()));
        attempt(() -> admin.resumeCheckHalfMessage(PLAIN, scene.sent.get("plain-0-0").getMsgId()));
        attempt(() -> admin.resumeCheckHalfMessage(PLAIN, scene.sent.get("plain-0-0").getOffsetMsgId()));
        attempt(() -> admin.resumeCheckHalfMessage(PLAIN, "no_such_id"));
    }

    private void cleaning() throws Exception {
        for (String cluster : new String[] {CLUSTER, null, "no_such_cluster"}) {
            attempt(() -> admin.cleanExpiredConsumerQueue(cluster));
            attempt(() -> admin.deleteExpiredCommitLog(cluster));
            attempt(() -> admin.cleanUnusedTopic(cluster));
        }
        attempt(() -> admin.cleanExpiredConsumerQueueByAddr(broker));
        attempt(() -> admin.deleteExpiredCommitLogByAddr(broker));
        attempt(() -> admin.cleanUnusedTopicByAddr(broker));
        attempt(() -> admin.examineTopicStats(broker, PLAIN));
    }

    private void highAvailability() {
        attempt(() -> admin.getBrokerHAStatus(broker));
        attempt(() -> admin.getBrokerEpochCache(broker));
        attempt(() -> admin.resetMasterFlushOffset(broker, 1));
    }

    /** There is no controller, so these come to what a server says to requests that are not its own. */
    private void controllers() {
        for (String server : new String[] {scene.namesrv, broker}) {
            attempt(() -> admin.getInSyncStateData(server, Collections.singletonList(BROKER)));
            attempt(() -> admin.getControllerMetaData(server));
            attempt(() -> admin.getControllerConfig(Collections.singletonList(server)));
            attempt(() -> admin.updateControllerConfig(properties("a", "b"), Collections.singletonList(server)));
            attempt(() -> admin.electMaster(server, CLUSTER, BROKER, 0L));
            attempt(() -> admin.cleanControllerBrokerData(server, CLUSTER, BROKER, "1", false));
        }
    }

    private void coldData() {
        attempt(() -> admin.getColdDataFlowCtrInfo(broker));
        attempt(() -> admin.updateColdDataFlowCtrGroupConfig(broker, properties(PUSH, "1048576")));
        attempt(() -> admin.updateColdDataFlowCtrGroupConfig(broker, properties(PUSH, "none")));
        attempt(() -> admin.getColdDataFlowCtrInfo(broker));
        attempt(() -> admin.removeColdDataFlowCtrGroupConfig(broker, PUSH));
        attempt(() -> admin.removeColdDataFlowCtrGroupConfig(broker, "no_such_group"));
        attempt(() -> admin.getColdDataFlowCtrInfo(broker));
        attempt(() -> admin.setCommitLogReadAheadMode(broker, "1"));
        attempt(() -> admin.setCommitLogReadAheadMode(broker, "0"));
        attempt(() -> admin.setCommitLogReadAheadMode(broker, "7"));
        attempt(() -> admin.setCommitLogReadAheadMode(broker, "none"));
    }

    private void users() {
        attempt(() -> admin.createUser(broker, "alice", "secret123", "Super"));
        attempt(() -> admin.createUser(broker, "alice", "secret123", "Super"));
        attempt(() -> admin.createUser(broker, UserInfo.of("bob", "secret456", "Normal")));
        attempt(() -> admin.createUser(broker, "", "secret", "Normal"));
        attempt(() -> admin.updateUser(broker, "bob", "secret789", "Normal", "disable"));
        attempt(() -> admin.updateUser(broker, UserInfo.of("carol", "secret789", "Normal", "enable")));
        attempt(() -> admin.getUser(broker, "alice"));
        attempt(() -> admin.getUser(broker, "carol"));
        attempt(() -> admin.listUser(broker, ""));
        attempt(() -> admin.listUser(broker, "bo"));
        attempt(() -> admin.listUser(broker, null));
        attempt(() -> admin.deleteUser(broker, "alice"));
        attempt(() -> admin.deleteUser(broker, "carol"));
        attempt(() -> admin.listUser(broker, ""));
    }

    private void acls() {
        List<String> resources = Arrays.asList("Topic:plain", "Group:*");
        List<String> actions = Arrays.asList("Pub", "Sub");
        List<String> ips = Collections.singletonList("10.0.0.0/8");
        attempt(() -> admin.createAcl(broker, "User:bob", resources, actions, ips, "Allow"));
        attempt(() -> admin.createAcl(broker, "User:carol", resources, actions, ips, "Allow"));
        attempt(() -> admin.createAcl(broker, AclInfo.of("User:bob", resources, actions, ips, "Maybe")));
        attempt(() -> admin.createAcl(broker, AclInfo.of("User:bob", Collections.singletonList("Cluster:*"), Collections.singletonList("Get"), null, "Deny")));
        attempt(() -> admin.updateAcl(broker, "User:bob", Collections.singletonList("Topic:plain"), Collections.singletonList("Pub"), ips, "Deny"));
        attempt(() -> admin.updateAcl(broker, AclInfo.of("User:carol", resources, actions, ips, "Deny")));
        attempt(() -> admin.getAcl(broker, "User:bob"));
        attempt(() -> admin.getAcl(broker, "User:carol"));
        attempt(() -> admin.listAcl(broker, "", ""));
        attempt(() -> admin.listAcl(broker, "User:bob", "Topic:plain"));
        attempt(() -> admin.listAcl(broker, null, null));
        attempt(() -> admin.deleteAcl(broker, "User:bob", "Topic:plain"));
        attempt(() -> admin.deleteAcl(broker, "User:bob", null));
        attempt(() -> admin.deleteAcl(broker, "User:carol", null));
        attempt(() -> admin.listAcl(broker, "", ""));
    }

    private void lite() {
        attempt(() -> admin.getBrokerLiteInfo(broker));
        for (String topic : new String[] {PLAIN, "no_such_topic"}) {
            attempt(() -> admin.getParentTopicInfo(broker, topic));
            attempt(() -> admin.getLiteTopicInfo(broker, topic, "lite"));
            attempt(() -> admin.getLiteClientInfo(broker, topic, PUSH, clientId(PUSH)));
        }
        for (String group : new String[] {PUSH, "no_such_group"}) {
            attempt(() -> admin.getLiteGroupInfo(broker, group, "lite", 10));
            attempt(() -> admin.getLiteGroupInfo(broker, group, "", 10));
            attempt(() -> admin.triggerLiteDispatch(broker, group, clientId(PUSH)));
        }
    }

    private void rocksDB() {
        attempt(() -> admin.checkRocksdbCqWriteProgress(broker, PLAIN, 0));
        attempt(() -> admin.checkRocksdbCqWriteProgress(broker, "", 0));
        attempt(() -> admin.exportRocksDBConfigToJson(broker, Arrays.asList(ConfigType.TOPICS, ConfigType.CONSUMER_OFFSETS)));
    }

    private void deletions() throws Exception {
        Set<String> brokers = Collections.singleton(broker);
        Set<String> servers = Collections.singleton(scene.namesrv);
        attempt(() -> admin.deleteTopicInBroker(brokers, "static_topic")); // Apache's client cannot read what all topics are with it
        attempt(() -> admin.deleteTopicInBroker(brokers, "list_a"));
        attempt(() -> admin.deleteTopicInBroker(brokers, "no_such_topic"));
        attempt(() -> admin.deleteTopicInBroker(brokers, "SCHEDULE_TOPIC_XXXX"));
        attempt(() -> admin.deleteTopicInBroker(brokers, ""));
        attempt(() -> admin.deleteTopicInBrokerConcurrent(brokers, "list_b"));
        attempt(() -> admin.deleteTopicInBrokerConcurrent(brokers, "SCHEDULE_TOPIC_XXXX"));
        attempt(() -> admin.deleteTopicInNameServer(servers, "list_a"));
        attempt(() -> admin.deleteTopicInNameServer(servers, CLUSTER, "list_b"));
        attempt(() -> admin.deleteTopicInNameServer(null, "no_such_topic"));
        attempt(() -> admin.deleteTopicInNameServer(servers, "no_such_cluster", "by_key"));
        attempt(() -> admin.deleteTopic("by_key", CLUSTER));
        attempt(() -> admin.deleteTopic("by_key_unit", "no_such_cluster"));
        for (String topic : new String[] {"list_a", "list_b", "by_key", "by_key_unit"}) {
            attempt(() -> admin.examineTopicConfig(broker, topic));
            attempt(() -> admin.examineTopicRouteInfo(topic));
        }
        attempt(() -> admin.deleteSubscriptionGroup(broker, "group_listed"));
        attempt(() -> admin.deleteSubscriptionGroup(broker, ABSENT, true));
        attempt(() -> admin.deleteSubscriptionGroup(broker, "no_such_group", true));
        attempt(() -> admin.examineConsumeStats(broker, "group_listed", PLAIN, LONG));
        attempt(() -> admin.examineConsumeStats(broker, ABSENT, PLAIN, LONG));
        attempt(() -> admin.examineSubscriptionGroupConfig(broker, ABSENT));
        attempt(() -> admin.fetchAllTopicList());
        attempt(() -> admin.getUserTopicConfig(broker, true, LONG));
        attempt(() -> admin.getUserSubscriptionGroup(broker, LONG));
    }
}
