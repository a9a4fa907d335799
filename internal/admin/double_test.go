package admin

import (
	"log/slog"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// double stands for a server that we do not have in the process, such as a controller: it answers requests by code, and keeps what it was asked.
type double struct {
	answers map[int]*remoting.Answer

	mu    sync.Mutex
	asked []string
}

func (d *double) Serve(r *remoting.Request) {
	var fields []string
	for _, f := range r.Fields {
		if key := string(f.Key); key != "invokeTime" {
			fields = append(fields, key+"="+string(f.Value))
		}
	}
	sort.Strings(fields)
	d.mu.Lock()
	d.asked = append(d.asked, strings.Join(append([]string{protocol.RequestName(int(r.Code))}, fields...), " ")+string(r.Body))
	d.mu.Unlock()
	remoting.Respond(r, func(r *remoting.Request) (*remoting.Answer, error) {
		if a, known := d.answers[int(r.Code)]; known {
			return a, nil
		}
		return nil, protocol.Errorf(protocol.CodeSystemError, "not today")
	})
}
func (*double) Flush(*remoting.Conn)  {}
func (*double) Closed(*remoting.Conn) {}

// last is what was asked last.
func (d *double) last() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked[len(d.asked)-1]
}

func TestCommands_SpeakToServersOfOtherKinds(t *testing.T) {
	t.Parallel()
	d := &double{answers: map[int]*remoting.Answer{
		protocol.ReqControllerGetSyncStateData: {Body: []byte(`{"replicasInfoTable":{"broker-a":{"masterBrokerId":1,"masterAddress":"10.0.0.1:10911","masterEpoch":3,"syncStateSetEpoch":4,` +
			`"inSyncReplicas":[{"brokerName":"broker-a","brokerId":1,"brokerAddress":"10.0.0.1:10911","alive":true}],"notInSyncReplicas":[{"brokerName":"broker-a","brokerId":2,"brokerAddress":"10.0.0.2:10911","alive":false}]}}}`)},
		protocol.ReqControllerElectMaster: {Header: &protocol.ElectMasterResponseHeader{MasterBrokerID: 2, MasterAddress: "10.0.0.2:10911", MasterEpoch: 5, SyncStateSetEpoch: 6},
			Body: []byte(`{"brokerAddrs":{0:"10.0.0.2:10911",1:"10.0.0.1:10911"},"brokerName":"broker-a","cluster":"c"}`)},
		protocol.ReqCleanBrokerData:          nil,
		protocol.ReqGetControllerConfig:      {Body: []byte("controllerType=jRaft\nelectUncleanMaster=false\n")},
		protocol.ReqUpdateControllerConfig:   nil,
		protocol.ReqAddBroker:                nil,
		protocol.ReqRemoveBroker:             nil,
		protocol.ReqResetMasterFlushOffset:   nil,
		protocol.ReqCleanExpiredConsumeQueue: nil,
		protocol.ReqCleanUnusedTopic:         nil,
		protocol.ReqDeleteExpiredCommitLog:   nil,
		protocol.ReqGetBrokerClusterInfo:     {Body: []byte(`{"brokerAddrTable":{"broker-a":{"brokerAddrs":{0:"ADDR"},"brokerName":"broker-a","cluster":"c"}},"clusterAddrTable":{"c":["broker-a"]}}`)},
		protocol.ReqGetBrokerHAStatus: {Body: []byte(`{"haClientRuntimeInfo":{"masterAddr":"10.0.0.9:10912"},"haConnectionInfo":[{"addr":"10.0.0.2:10912","diff":7,"inSync":true,"slaveAckOffset":93,` +
			`"transferFromWhere":100,"transferredByteInSecond":2048}],"inSyncSlaveNums":1,"master":true,"masterCommitLogMaxOffset":100}`)},
		protocol.ReqGetBrokerEpochCache: {Body: []byte(`{"clusterName":"c","brokerName":"broker-a","brokerId":0,"epochList":[{"epoch":1,"startOffset":0,"endOffset":50},{"epoch":2,"startOffset":50,"endOffset":9223372036854775807}],"maxOffset":100}`)},
	}}
	s, err := remoting.Listen("127.0.0.1:0", d, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	addr := s.Addr().String()
	d.answers[protocol.ReqControllerGetMetadataInfo] = &remoting.Answer{Header: &protocol.ControllerMetadata{Group: "g", LeaderID: "n0", LeaderAddress: addr, IsLeader: true, Peers: "n0:" + addr + ";n1:10.0.0.2:9878"}}
	info := d.answers[protocol.ReqGetBrokerClusterInfo]
	info.Body = []byte(strings.ReplaceAll(string(info.Body), "ADDR", addr))
	for _, tt := range []struct{ args, out, said, asked string }{
		{"getControllerMetaData -a ADDR", "\n#ControllerGroup\tg\n#ControllerLeaderId\tn0\n#ControllerLeaderAddress\tADDR\n#Peer:\tn0:ADDR\n#Peer:\tn1:10.0.0.2:9878\n", "", "CONTROLLER_GET_METADATA_INFO"},
		{"getSyncStateSet -a ADDR -c c", "\n#brokerName\tbroker-a\n#MasterBrokerId\t1\n#MasterAddr\t10.0.0.1:10911\n#MasterEpoch\t3\n#SyncStateSetEpoch\t4\n#SyncStateSetNums\t1\n" +
			"\nInSyncReplica:\tReplicaIdentity{brokerName='broker-a', brokerId=1, brokerAddress='10.0.0.1:10911', alive=true}\n" +
			"\nNotInSyncReplica:\tReplicaIdentity{brokerName='broker-a', brokerId=2, brokerAddress='10.0.0.2:10911', alive=false}\n", "", `CONTROLLER_GET_SYNC_STATE_DATA["broker-a"]`},
		{"electMaster -a ADDR -b 2 -bn broker-a -c c", "\n#ClusterName\tc\n#BrokerName\tbroker-a\n#BrokerMasterAddr\t10.0.0.2:10911\n#MasterEpoch\t5\n#SyncStateSetEpoch\t6\n" +
			"\t#Broker\t0\t10.0.0.2:10911\n\t#Broker\t1\t10.0.0.1:10911\n",
			"will make the broker with id 2 master of broker-a; its master is 10.0.0.1:10911 (id 1), with 1 of 2 brokers in sync\n",
			"CONTROLLER_ELECT_MASTER brokerId=2 brokerName=broker-a clusterName=c designateElect=true"},
		{"cleanBrokerMetadata -a ADDR -bn broker-a -c c -b 2", "clear broker broker-a metadata from controller success! \n",
			"will forget the brokers with ids 2 of broker-a at the controllers; its master is 10.0.0.1:10911 (id 1), with 1 of 2 brokers in sync\n" +
				"  ReplicaIdentity{brokerName='broker-a', brokerId=2, brokerAddress='10.0.0.2:10911', alive=false}\n",
			"CLEAN_BROKER_DATA brokerControllerIdsToClean=2 brokerName=broker-a clusterName=c isCleanLivingBroker=false"},
		{"getControllerConfig -a ADDR", "============ADDR============\ncontrollerType                                    =  jRaft\nelectUncleanMaster                                =  false\n", "", "GET_CONTROLLER_CONFIG"},
		{"updateControllerConfig -a ADDR -k electUncleanMaster -v true", "update controller config success![ADDR]\nelectUncleanMaster : true\n",
			"will set electUncleanMaster to \"true\" at ADDR; it is \"false\"\n", "UPDATE_CONTROLLER_CONFIGelectUncleanMaster=true\n"},
		{"addBroker -c ADDR -b /etc/broker.conf", "add broker to ADDR success\n", "", "ADD_BROKER configPath=/etc/broker.conf"},
		{"removeBroker -c ADDR -b c:broker-a:1", "remove broker from ADDR success\n", "will stop broker broker-a with id 1 of cluster c in the container at ADDR; its files stay\n",
			"REMOVE_BROKER brokerClusterName=c brokerId=1 brokerName=broker-a"},
		{"haStatus -b ADDR", "\n#MasterAddr\tADDR\n#MasterCommitLogMaxOffset\t100\n#SlaveNum\t1\n#InSyncSlaveNum\t1\n" +
			"#SlaveAddr                        #SlaveAckOffset             #Diff #TransferSpeed(KB/s)          #Status #TransferFromWhere\n" +
			"10.0.0.2:10912                    93                              7             2.00               OK              100\n", "", "GET_BROKER_HA_STATUS"},
		{"getBrokerEpoch -b broker-a", "\n#clusterName\tc\n#brokerName\tbroker-a\n#brokerAddr\tADDR\n#brokerId\t0\n#Epoch: EpochEntry{epoch=1, startOffset=0, endOffset=50}\n" +
			"#Epoch: EpochEntry{epoch=2, startOffset=50, endOffset=100}\n", "", "GET_BROKER_EPOCH_CACHE"},
		{"resetMasterFlushOffset -b ADDR -o 42", "reset master flush offset to 42 success\n",
			"will set the offset that the master has flushed to 42 at ADDR; it does not say what it is\n", "RESET_MASTER_FLUSH_OFFSET masterFlushOffset=42"},
		{"cleanExpiredCQ -c c", "success", "will delete expired consume queue files at broker-a (ADDR)\n", "CLEAN_EXPIRED_CONSUMEQUEUE"},
		{"cleanUnusedTopic", "success", "will delete the consume queues of topics that are unknown, Liftoff also the consumer offsets in them, at broker-a (ADDR)\n", "CLEAN_UNUSED_TOPIC"},
		{"deleteExpiredCommitLog -b ADDR", "success", "will delete expired commit log files at ADDR\n", "DELETE_EXPIRED_COMMITLOG"},
	} {
		at := func(s string) string { return strings.ReplaceAll(s, "ADDR", addr) }
		r := mqadmin(t, append(strings.Fields(at(tt.args)), "-n", addr)...)
		if r.err != nil || r.out != at(tt.out) || r.said != at(tt.said) {
			t.Errorf("%s: %v\n%s\nsaid %s\nwant\n%s\nsaid %s", tt.args, r.err, r.out, r.said, at(tt.out), at(tt.said))
		}
		if asked := d.last(); asked != tt.asked {
			t.Errorf("%s asked %q, want %q", tt.args, asked, tt.asked)
		}
	}
}

func TestDumpCompactionLog_PrintsMessagesUpToTheEnd(t *testing.T) {
	t.Parallel()
	m := message.Message{Topic: "T", Body: []byte("hi"), BornTimestamp: 1, StoreTimestamp: 2, Properties: message.AppendProperties(nil, map[string]string{"KEYS": "k"})}
	log := m.AppendRecord(m.AppendRecord(nil, false), false)
	path := filepath.Join(t.TempDir(), "00000000000000000000")
	if err := os.WriteFile(path, append(log, make([]byte, 100)...), 0o600); err != nil {
		t.Fatal(err)
	}
	r := mqadmin(t, "dumpCompactionLog", "-f", path)
	if r.err != nil || strings.Count(r.out, "\n") != 2 || !strings.Contains(r.out, "Message{topic='T', flag=0, properties={KEYS=k}, body=[104, 105], transactionId='null'}]\n") {
		t.Errorf("%v\n%s", r.err, r.out)
	}
	if err := os.WriteFile(path, append(log[:len(log)-3], 0, 0, 0), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := mqadmin(t, "dumpCompactionLog", "-f", path, "--json"); strings.Count(r.out, `"body":"hi"`) == 0 {
		t.Errorf("%v\n%s", r.err, r.out)
	}
}
