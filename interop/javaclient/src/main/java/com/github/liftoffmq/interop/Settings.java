package com.github.liftoffmq.interop;

import org.apache.rocketmq.client.ClientConfig;

/** What every producer and consumer takes from the command that makes it. */
final class Settings {
    private Settings() {
    }

    static void apply(Form in, ClientConfig client) {
        client.setNamesrvAddr(in.text("namesrv"));
        client.setInstanceName(in.text("name")); // a client of its own, with connections of its own
        client.setPollNameServerInterval(1000);
        client.setHeartbeatBrokerInterval(1000);
        client.setPersistConsumerOffsetInterval(1000);
        client.setVipChannelEnabled(in.flag("vip"));
        client.setUseTLS(in.flag("tls"));
    }
}
