package protocol

// AddBrokerHeader is ADD_BROKER 902: a container starts the broker that this file, on the container's machine, configures.
type AddBrokerHeader struct {
	ConfigPath string `field:"configPath"`
}

// RemoveBrokerHeader is REMOVE_BROKER 903.
type RemoveBrokerHeader struct {
	ClusterName string `field:"brokerClusterName,required"`
	BrokerName  string `field:"brokerName,required"`
	BrokerID    int64  `field:"brokerId,required"`
}
