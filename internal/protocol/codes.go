package protocol

// Request codes of Apache RocketMQ 5.5.0. The number goes over the wire; do not change.
// The name in capitals behind each is the one of Apache's RequestCode class.
const (
	ReqSendMessage                          = 10     // SEND_MESSAGE
	ReqPullMessage                          = 11     // PULL_MESSAGE
	ReqQueryMessage                         = 12     // QUERY_MESSAGE
	ReqQueryBrokerOffset                    = 13     // QUERY_BROKER_OFFSET
	ReqQueryConsumerOffset                  = 14     // QUERY_CONSUMER_OFFSET
	ReqUpdateConsumerOffset                 = 15     // UPDATE_CONSUMER_OFFSET
	ReqUpdateAndCreateTopic                 = 17     // UPDATE_AND_CREATE_TOPIC
	ReqUpdateAndCreateTopicList             = 18     // UPDATE_AND_CREATE_TOPIC_LIST
	ReqGetAllTopicConfig                    = 21     // GET_ALL_TOPIC_CONFIG
	ReqGetTopicConfigList                   = 22     // GET_TOPIC_CONFIG_LIST
	ReqGetTopicNameList                     = 23     // GET_TOPIC_NAME_LIST
	ReqUpdateBrokerConfig                   = 25     // UPDATE_BROKER_CONFIG
	ReqGetBrokerConfig                      = 26     // GET_BROKER_CONFIG
	ReqTriggerDeleteFiles                   = 27     // TRIGGER_DELETE_FILES
	ReqGetBrokerRuntimeInfo                 = 28     // GET_BROKER_RUNTIME_INFO
	ReqSearchOffsetByTimestamp              = 29     // SEARCH_OFFSET_BY_TIMESTAMP
	ReqGetMaxOffset                         = 30     // GET_MAX_OFFSET
	ReqGetMinOffset                         = 31     // GET_MIN_OFFSET
	ReqGetEarliestMsgStoreTime              = 32     // GET_EARLIEST_MSG_STORETIME
	ReqViewMessageByID                      = 33     // VIEW_MESSAGE_BY_ID
	ReqHeartBeat                            = 34     // HEART_BEAT
	ReqUnregisterClient                     = 35     // UNREGISTER_CLIENT
	ReqConsumerSendMsgBack                  = 36     // CONSUMER_SEND_MSG_BACK
	ReqEndTransaction                       = 37     // END_TRANSACTION
	ReqGetConsumerListByGroup               = 38     // GET_CONSUMER_LIST_BY_GROUP
	ReqCheckTransactionState                = 39     // CHECK_TRANSACTION_STATE
	ReqNotifyConsumerIDsChanged             = 40     // NOTIFY_CONSUMER_IDS_CHANGED
	ReqLockBatchMQ                          = 41     // LOCK_BATCH_MQ
	ReqUnlockBatchMQ                        = 42     // UNLOCK_BATCH_MQ
	ReqGetAllConsumerOffset                 = 43     // GET_ALL_CONSUMER_OFFSET
	ReqGetAllDelayOffset                    = 45     // GET_ALL_DELAY_OFFSET
	ReqCheckClientConfig                    = 46     // CHECK_CLIENT_CONFIG
	ReqGetClientConfig                      = 47     // GET_CLIENT_CONFIG
	ReqGetTimerCheckPoint                   = 60     // GET_TIMER_CHECK_POINT
	ReqGetTimerMetrics                      = 61     // GET_TIMER_METRICS
	ReqPutKVConfig                          = 100    // PUT_KV_CONFIG
	ReqGetKVConfig                          = 101    // GET_KV_CONFIG
	ReqDeleteKVConfig                       = 102    // DELETE_KV_CONFIG
	ReqRegisterBroker                       = 103    // REGISTER_BROKER
	ReqUnregisterBroker                     = 104    // UNREGISTER_BROKER
	ReqGetRouteInfoByTopic                  = 105    // GET_ROUTEINFO_BY_TOPIC
	ReqGetBrokerClusterInfo                 = 106    // GET_BROKER_CLUSTER_INFO
	ReqUpdateAndCreateSubscriptionGroup     = 200    // UPDATE_AND_CREATE_SUBSCRIPTIONGROUP
	ReqGetAllSubscriptionGroupConfig        = 201    // GET_ALL_SUBSCRIPTIONGROUP_CONFIG
	ReqGetTopicStatsInfo                    = 202    // GET_TOPIC_STATS_INFO
	ReqGetConsumerConnectionList            = 203    // GET_CONSUMER_CONNECTION_LIST
	ReqGetProducerConnectionList            = 204    // GET_PRODUCER_CONNECTION_LIST
	ReqWipeWritePermOfBroker                = 205    // WIPE_WRITE_PERM_OF_BROKER
	ReqGetAllTopicListFromNameServer        = 206    // GET_ALL_TOPIC_LIST_FROM_NAMESERVER
	ReqDeleteSubscriptionGroup              = 207    // DELETE_SUBSCRIPTIONGROUP
	ReqGetConsumeStats                      = 208    // GET_CONSUME_STATS
	ReqSuspendConsumer                      = 209    // SUSPEND_CONSUMER
	ReqResumeConsumer                       = 210    // RESUME_CONSUMER
	ReqResetConsumerOffsetInConsumer        = 211    // RESET_CONSUMER_OFFSET_IN_CONSUMER
	ReqResetConsumerOffsetInBroker          = 212    // RESET_CONSUMER_OFFSET_IN_BROKER
	ReqAdjustConsumerThreadPool             = 213    // ADJUST_CONSUMER_THREAD_POOL
	ReqWhoConsumeTheMessage                 = 214    // WHO_CONSUME_THE_MESSAGE
	ReqDeleteTopicInBroker                  = 215    // DELETE_TOPIC_IN_BROKER
	ReqDeleteTopicInNamesrv                 = 216    // DELETE_TOPIC_IN_NAMESRV
	ReqRegisterTopicInNamesrv               = 217    // REGISTER_TOPIC_IN_NAMESRV
	ReqGetKVListByNamespace                 = 219    // GET_KVLIST_BY_NAMESPACE
	ReqResetConsumerClientOffset            = 220    // RESET_CONSUMER_CLIENT_OFFSET
	ReqGetConsumerStatusFromClient          = 221    // GET_CONSUMER_STATUS_FROM_CLIENT
	ReqInvokeBrokerToResetOffset            = 222    // INVOKE_BROKER_TO_RESET_OFFSET
	ReqInvokeBrokerToGetConsumerStatus      = 223    // INVOKE_BROKER_TO_GET_CONSUMER_STATUS
	ReqGetTopicsByCluster                   = 224    // GET_TOPICS_BY_CLUSTER
	ReqUpdateAndCreateSubscriptionGroupList = 225    // UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST
	ReqQueryTopicConsumeByWho               = 300    // QUERY_TOPIC_CONSUME_BY_WHO
	ReqRegisterFilterServer                 = 301    // REGISTER_FILTER_SERVER
	ReqRegisterMessageFilterClass           = 302    // REGISTER_MESSAGE_FILTER_CLASS
	ReqQueryConsumeTimeSpan                 = 303    // QUERY_CONSUME_TIME_SPAN
	ReqGetSystemTopicListFromNS             = 304    // GET_SYSTEM_TOPIC_LIST_FROM_NS
	ReqGetSystemTopicListFromBroker         = 305    // GET_SYSTEM_TOPIC_LIST_FROM_BROKER
	ReqCleanExpiredConsumeQueue             = 306    // CLEAN_EXPIRED_CONSUMEQUEUE
	ReqGetConsumerRunningInfo               = 307    // GET_CONSUMER_RUNNING_INFO
	ReqQueryCorrectionOffset                = 308    // QUERY_CORRECTION_OFFSET
	ReqConsumeMessageDirectly               = 309    // CONSUME_MESSAGE_DIRECTLY
	ReqSendMessageV2                        = 310    // SEND_MESSAGE_V2
	ReqGetUnitTopicList                     = 311    // GET_UNIT_TOPIC_LIST
	ReqGetHasUnitSubTopicList               = 312    // GET_HAS_UNIT_SUB_TOPIC_LIST
	ReqGetHasUnitSubUnUnitTopicList         = 313    // GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST
	ReqCloneGroupOffset                     = 314    // CLONE_GROUP_OFFSET
	ReqViewBrokerStatsData                  = 315    // VIEW_BROKER_STATS_DATA
	ReqCleanUnusedTopic                     = 316    // CLEAN_UNUSED_TOPIC
	ReqGetBrokerConsumeStats                = 317    // GET_BROKER_CONSUME_STATS
	ReqUpdateNamesrvConfig                  = 318    // UPDATE_NAMESRV_CONFIG
	ReqGetNamesrvConfig                     = 319    // GET_NAMESRV_CONFIG
	ReqSendBatchMessage                     = 320    // SEND_BATCH_MESSAGE
	ReqQueryConsumeQueue                    = 321    // QUERY_CONSUME_QUEUE
	ReqQueryDataVersion                     = 322    // QUERY_DATA_VERSION
	ReqResumeCheckHalfMessage               = 323    // RESUME_CHECK_HALF_MESSAGE
	ReqSendReplyMessage                     = 324    // SEND_REPLY_MESSAGE
	ReqSendReplyMessageV2                   = 325    // SEND_REPLY_MESSAGE_V2
	ReqPushReplyMessageToClient             = 326    // PUSH_REPLY_MESSAGE_TO_CLIENT
	ReqAddWritePermOfBroker                 = 327    // ADD_WRITE_PERM_OF_BROKER
	ReqGetAllProducerInfo                   = 328    // GET_ALL_PRODUCER_INFO
	ReqDeleteExpiredCommitLog               = 329    // DELETE_EXPIRED_COMMITLOG
	ReqQueryTopicsByConsumer                = 343    // QUERY_TOPICS_BY_CONSUMER
	ReqQuerySubscriptionByConsumer          = 345    // QUERY_SUBSCRIPTION_BY_CONSUMER
	ReqGetTopicConfig                       = 351    // GET_TOPIC_CONFIG
	ReqGetSubscriptionGroupConfig           = 352    // GET_SUBSCRIPTIONGROUP_CONFIG
	ReqUpdateAndGetGroupForbidden           = 353    // UPDATE_AND_GET_GROUP_FORBIDDEN
	ReqCheckRocksDBCQWriteProgress          = 354    // CHECK_ROCKSDB_CQ_WRITE_PROGRESS
	ReqExportRocksDBConfigToJSON            = 355    // EXPORT_ROCKSDB_CONFIG_TO_JSON
	ReqLitePullMessage                      = 361    // LITE_PULL_MESSAGE
	ReqRecallMessage                        = 370    // RECALL_MESSAGE
	ReqQueryAssignment                      = 400    // QUERY_ASSIGNMENT
	ReqSetMessageRequestMode                = 401    // SET_MESSAGE_REQUEST_MODE
	ReqGetAllMessageRequestMode             = 402    // GET_ALL_MESSAGE_REQUEST_MODE
	ReqUpdateAndCreateStaticTopic           = 513    // UPDATE_AND_CREATE_STATIC_TOPIC
	ReqGetBrokerMemberGroup                 = 901    // GET_BROKER_MEMBER_GROUP
	ReqAddBroker                            = 902    // ADD_BROKER
	ReqRemoveBroker                         = 903    // REMOVE_BROKER
	ReqBrokerHeartbeat                      = 904    // BROKER_HEARTBEAT
	ReqNotifyMinBrokerIDChange              = 905    // NOTIFY_MIN_BROKER_ID_CHANGE
	ReqExchangeBrokerHAInfo                 = 906    // EXCHANGE_BROKER_HA_INFO
	ReqGetBrokerHAStatus                    = 907    // GET_BROKER_HA_STATUS
	ReqResetMasterFlushOffset               = 908    // RESET_MASTER_FLUSH_OFFSET
	ReqControllerAlterSyncStateSet          = 1001   // CONTROLLER_ALTER_SYNC_STATE_SET
	ReqControllerElectMaster                = 1002   // CONTROLLER_ELECT_MASTER
	ReqControllerRegisterBroker             = 1003   // CONTROLLER_REGISTER_BROKER
	ReqControllerGetReplicaInfo             = 1004   // CONTROLLER_GET_REPLICA_INFO
	ReqControllerGetMetadataInfo            = 1005   // CONTROLLER_GET_METADATA_INFO
	ReqControllerGetSyncStateData           = 1006   // CONTROLLER_GET_SYNC_STATE_DATA
	ReqGetBrokerEpochCache                  = 1007   // GET_BROKER_EPOCH_CACHE
	ReqNotifyBrokerRoleChanged              = 1008   // NOTIFY_BROKER_ROLE_CHANGED
	ReqUpdateControllerConfig               = 1009   // UPDATE_CONTROLLER_CONFIG
	ReqGetControllerConfig                  = 1010   // GET_CONTROLLER_CONFIG
	ReqCleanBrokerData                      = 1011   // CLEAN_BROKER_DATA
	ReqControllerGetNextBrokerID            = 1012   // CONTROLLER_GET_NEXT_BROKER_ID
	ReqControllerApplyBrokerID              = 1013   // CONTROLLER_APPLY_BROKER_ID
	ReqUpdateColdDataFlowCtrConfig          = 2001   // UPDATE_COLD_DATA_FLOW_CTR_CONFIG
	ReqRemoveColdDataFlowCtrConfig          = 2002   // REMOVE_COLD_DATA_FLOW_CTR_CONFIG
	ReqGetColdDataFlowCtrInfo               = 2003   // GET_COLD_DATA_FLOW_CTR_INFO
	ReqSetCommitLogReadMode                 = 2004   // SET_COMMITLOG_READ_MODE
	ReqAuthCreateUser                       = 3001   // AUTH_CREATE_USER
	ReqAuthUpdateUser                       = 3002   // AUTH_UPDATE_USER
	ReqAuthDeleteUser                       = 3003   // AUTH_DELETE_USER
	ReqAuthGetUser                          = 3004   // AUTH_GET_USER
	ReqAuthListUser                         = 3005   // AUTH_LIST_USER
	ReqAuthCreateACL                        = 3006   // AUTH_CREATE_ACL
	ReqAuthUpdateACL                        = 3007   // AUTH_UPDATE_ACL
	ReqAuthDeleteACL                        = 3008   // AUTH_DELETE_ACL
	ReqAuthGetACL                           = 3009   // AUTH_GET_ACL
	ReqAuthListACL                          = 3010   // AUTH_LIST_ACL
	ReqSwitchTimerEngine                    = 5001   // SWITCH_TIMER_ENGINE
	ReqPopMessage                           = 200050 // POP_MESSAGE
	ReqAckMessage                           = 200051 // ACK_MESSAGE
	ReqPeekMessage                          = 200052 // PEEK_MESSAGE
	ReqChangeMessageInvisibleTime           = 200053 // CHANGE_MESSAGE_INVISIBLETIME
	ReqNotification                         = 200054 // NOTIFICATION
	ReqPollingInfo                          = 200055 // POLLING_INFO
	ReqPopRollback                          = 200056 // POP_ROLLBACK
	ReqPopLiteMessage                       = 200070 // POP_LITE_MESSAGE
	ReqLiteSubscriptionCtl                  = 200071 // LITE_SUBSCRIPTION_CTL
	ReqAckLiteMessage                       = 200072 // ACK_LITE_MESSAGE
	ReqNotifyUnsubscribeLite                = 200073 // NOTIFY_UNSUBSCRIBE_LITE
	ReqGetBrokerLiteInfo                    = 200074 // GET_BROKER_LITE_INFO
	ReqGetParentTopicInfo                   = 200075 // GET_PARENT_TOPIC_INFO
	ReqGetLiteTopicInfo                     = 200076 // GET_LITE_TOPIC_INFO
	ReqGetLiteClientInfo                    = 200077 // GET_LITE_CLIENT_INFO
	ReqGetLiteGroupInfo                     = 200078 // GET_LITE_GROUP_INFO
	ReqTriggerLiteDispatch                  = 200079 // TRIGGER_LITE_DISPATCH
	ReqBatchAckMessage                      = 200151 // BATCH_ACK_MESSAGE
)

// requestNames maps a request code to Apache's name of it.
var requestNames = map[int]string{
	ReqSendMessage:                          "SEND_MESSAGE",
	ReqPullMessage:                          "PULL_MESSAGE",
	ReqQueryMessage:                         "QUERY_MESSAGE",
	ReqQueryBrokerOffset:                    "QUERY_BROKER_OFFSET",
	ReqQueryConsumerOffset:                  "QUERY_CONSUMER_OFFSET",
	ReqUpdateConsumerOffset:                 "UPDATE_CONSUMER_OFFSET",
	ReqUpdateAndCreateTopic:                 "UPDATE_AND_CREATE_TOPIC",
	ReqUpdateAndCreateTopicList:             "UPDATE_AND_CREATE_TOPIC_LIST",
	ReqGetAllTopicConfig:                    "GET_ALL_TOPIC_CONFIG",
	ReqGetTopicConfigList:                   "GET_TOPIC_CONFIG_LIST",
	ReqGetTopicNameList:                     "GET_TOPIC_NAME_LIST",
	ReqUpdateBrokerConfig:                   "UPDATE_BROKER_CONFIG",
	ReqGetBrokerConfig:                      "GET_BROKER_CONFIG",
	ReqTriggerDeleteFiles:                   "TRIGGER_DELETE_FILES",
	ReqGetBrokerRuntimeInfo:                 "GET_BROKER_RUNTIME_INFO",
	ReqSearchOffsetByTimestamp:              "SEARCH_OFFSET_BY_TIMESTAMP",
	ReqGetMaxOffset:                         "GET_MAX_OFFSET",
	ReqGetMinOffset:                         "GET_MIN_OFFSET",
	ReqGetEarliestMsgStoreTime:              "GET_EARLIEST_MSG_STORETIME",
	ReqViewMessageByID:                      "VIEW_MESSAGE_BY_ID",
	ReqHeartBeat:                            "HEART_BEAT",
	ReqUnregisterClient:                     "UNREGISTER_CLIENT",
	ReqConsumerSendMsgBack:                  "CONSUMER_SEND_MSG_BACK",
	ReqEndTransaction:                       "END_TRANSACTION",
	ReqGetConsumerListByGroup:               "GET_CONSUMER_LIST_BY_GROUP",
	ReqCheckTransactionState:                "CHECK_TRANSACTION_STATE",
	ReqNotifyConsumerIDsChanged:             "NOTIFY_CONSUMER_IDS_CHANGED",
	ReqLockBatchMQ:                          "LOCK_BATCH_MQ",
	ReqUnlockBatchMQ:                        "UNLOCK_BATCH_MQ",
	ReqGetAllConsumerOffset:                 "GET_ALL_CONSUMER_OFFSET",
	ReqGetAllDelayOffset:                    "GET_ALL_DELAY_OFFSET",
	ReqCheckClientConfig:                    "CHECK_CLIENT_CONFIG",
	ReqGetClientConfig:                      "GET_CLIENT_CONFIG",
	ReqGetTimerCheckPoint:                   "GET_TIMER_CHECK_POINT",
	ReqGetTimerMetrics:                      "GET_TIMER_METRICS",
	ReqPutKVConfig:                          "PUT_KV_CONFIG",
	ReqGetKVConfig:                          "GET_KV_CONFIG",
	ReqDeleteKVConfig:                       "DELETE_KV_CONFIG",
	ReqRegisterBroker:                       "REGISTER_BROKER",
	ReqUnregisterBroker:                     "UNREGISTER_BROKER",
	ReqGetRouteInfoByTopic:                  "GET_ROUTEINFO_BY_TOPIC",
	ReqGetBrokerClusterInfo:                 "GET_BROKER_CLUSTER_INFO",
	ReqUpdateAndCreateSubscriptionGroup:     "UPDATE_AND_CREATE_SUBSCRIPTIONGROUP",
	ReqGetAllSubscriptionGroupConfig:        "GET_ALL_SUBSCRIPTIONGROUP_CONFIG",
	ReqGetTopicStatsInfo:                    "GET_TOPIC_STATS_INFO",
	ReqGetConsumerConnectionList:            "GET_CONSUMER_CONNECTION_LIST",
	ReqGetProducerConnectionList:            "GET_PRODUCER_CONNECTION_LIST",
	ReqWipeWritePermOfBroker:                "WIPE_WRITE_PERM_OF_BROKER",
	ReqGetAllTopicListFromNameServer:        "GET_ALL_TOPIC_LIST_FROM_NAMESERVER",
	ReqDeleteSubscriptionGroup:              "DELETE_SUBSCRIPTIONGROUP",
	ReqGetConsumeStats:                      "GET_CONSUME_STATS",
	ReqSuspendConsumer:                      "SUSPEND_CONSUMER",
	ReqResumeConsumer:                       "RESUME_CONSUMER",
	ReqResetConsumerOffsetInConsumer:        "RESET_CONSUMER_OFFSET_IN_CONSUMER",
	ReqResetConsumerOffsetInBroker:          "RESET_CONSUMER_OFFSET_IN_BROKER",
	ReqAdjustConsumerThreadPool:             "ADJUST_CONSUMER_THREAD_POOL",
	ReqWhoConsumeTheMessage:                 "WHO_CONSUME_THE_MESSAGE",
	ReqDeleteTopicInBroker:                  "DELETE_TOPIC_IN_BROKER",
	ReqDeleteTopicInNamesrv:                 "DELETE_TOPIC_IN_NAMESRV",
	ReqRegisterTopicInNamesrv:               "REGISTER_TOPIC_IN_NAMESRV",
	ReqGetKVListByNamespace:                 "GET_KVLIST_BY_NAMESPACE",
	ReqResetConsumerClientOffset:            "RESET_CONSUMER_CLIENT_OFFSET",
	ReqGetConsumerStatusFromClient:          "GET_CONSUMER_STATUS_FROM_CLIENT",
	ReqInvokeBrokerToResetOffset:            "INVOKE_BROKER_TO_RESET_OFFSET",
	ReqInvokeBrokerToGetConsumerStatus:      "INVOKE_BROKER_TO_GET_CONSUMER_STATUS",
	ReqGetTopicsByCluster:                   "GET_TOPICS_BY_CLUSTER",
	ReqUpdateAndCreateSubscriptionGroupList: "UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST",
	ReqQueryTopicConsumeByWho:               "QUERY_TOPIC_CONSUME_BY_WHO",
	ReqRegisterFilterServer:                 "REGISTER_FILTER_SERVER",
	ReqRegisterMessageFilterClass:           "REGISTER_MESSAGE_FILTER_CLASS",
	ReqQueryConsumeTimeSpan:                 "QUERY_CONSUME_TIME_SPAN",
	ReqGetSystemTopicListFromNS:             "GET_SYSTEM_TOPIC_LIST_FROM_NS",
	ReqGetSystemTopicListFromBroker:         "GET_SYSTEM_TOPIC_LIST_FROM_BROKER",
	ReqCleanExpiredConsumeQueue:             "CLEAN_EXPIRED_CONSUMEQUEUE",
	ReqGetConsumerRunningInfo:               "GET_CONSUMER_RUNNING_INFO",
	ReqQueryCorrectionOffset:                "QUERY_CORRECTION_OFFSET",
	ReqConsumeMessageDirectly:               "CONSUME_MESSAGE_DIRECTLY",
	ReqSendMessageV2:                        "SEND_MESSAGE_V2",
	ReqGetUnitTopicList:                     "GET_UNIT_TOPIC_LIST",
	ReqGetHasUnitSubTopicList:               "GET_HAS_UNIT_SUB_TOPIC_LIST",
	ReqGetHasUnitSubUnUnitTopicList:         "GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST",
	ReqCloneGroupOffset:                     "CLONE_GROUP_OFFSET",
	ReqViewBrokerStatsData:                  "VIEW_BROKER_STATS_DATA",
	ReqCleanUnusedTopic:                     "CLEAN_UNUSED_TOPIC",
	ReqGetBrokerConsumeStats:                "GET_BROKER_CONSUME_STATS",
	ReqUpdateNamesrvConfig:                  "UPDATE_NAMESRV_CONFIG",
	ReqGetNamesrvConfig:                     "GET_NAMESRV_CONFIG",
	ReqSendBatchMessage:                     "SEND_BATCH_MESSAGE",
	ReqQueryConsumeQueue:                    "QUERY_CONSUME_QUEUE",
	ReqQueryDataVersion:                     "QUERY_DATA_VERSION",
	ReqResumeCheckHalfMessage:               "RESUME_CHECK_HALF_MESSAGE",
	ReqSendReplyMessage:                     "SEND_REPLY_MESSAGE",
	ReqSendReplyMessageV2:                   "SEND_REPLY_MESSAGE_V2",
	ReqPushReplyMessageToClient:             "PUSH_REPLY_MESSAGE_TO_CLIENT",
	ReqAddWritePermOfBroker:                 "ADD_WRITE_PERM_OF_BROKER",
	ReqGetAllProducerInfo:                   "GET_ALL_PRODUCER_INFO",
	ReqDeleteExpiredCommitLog:               "DELETE_EXPIRED_COMMITLOG",
	ReqQueryTopicsByConsumer:                "QUERY_TOPICS_BY_CONSUMER",
	ReqQuerySubscriptionByConsumer:          "QUERY_SUBSCRIPTION_BY_CONSUMER",
	ReqGetTopicConfig:                       "GET_TOPIC_CONFIG",
	ReqGetSubscriptionGroupConfig:           "GET_SUBSCRIPTIONGROUP_CONFIG",
	ReqUpdateAndGetGroupForbidden:           "UPDATE_AND_GET_GROUP_FORBIDDEN",
	ReqCheckRocksDBCQWriteProgress:          "CHECK_ROCKSDB_CQ_WRITE_PROGRESS",
	ReqExportRocksDBConfigToJSON:            "EXPORT_ROCKSDB_CONFIG_TO_JSON",
	ReqLitePullMessage:                      "LITE_PULL_MESSAGE",
	ReqRecallMessage:                        "RECALL_MESSAGE",
	ReqQueryAssignment:                      "QUERY_ASSIGNMENT",
	ReqSetMessageRequestMode:                "SET_MESSAGE_REQUEST_MODE",
	ReqGetAllMessageRequestMode:             "GET_ALL_MESSAGE_REQUEST_MODE",
	ReqUpdateAndCreateStaticTopic:           "UPDATE_AND_CREATE_STATIC_TOPIC",
	ReqGetBrokerMemberGroup:                 "GET_BROKER_MEMBER_GROUP",
	ReqAddBroker:                            "ADD_BROKER",
	ReqRemoveBroker:                         "REMOVE_BROKER",
	ReqBrokerHeartbeat:                      "BROKER_HEARTBEAT",
	ReqNotifyMinBrokerIDChange:              "NOTIFY_MIN_BROKER_ID_CHANGE",
	ReqExchangeBrokerHAInfo:                 "EXCHANGE_BROKER_HA_INFO",
	ReqGetBrokerHAStatus:                    "GET_BROKER_HA_STATUS",
	ReqResetMasterFlushOffset:               "RESET_MASTER_FLUSH_OFFSET",
	ReqControllerAlterSyncStateSet:          "CONTROLLER_ALTER_SYNC_STATE_SET",
	ReqControllerElectMaster:                "CONTROLLER_ELECT_MASTER",
	ReqControllerRegisterBroker:             "CONTROLLER_REGISTER_BROKER",
	ReqControllerGetReplicaInfo:             "CONTROLLER_GET_REPLICA_INFO",
	ReqControllerGetMetadataInfo:            "CONTROLLER_GET_METADATA_INFO",
	ReqControllerGetSyncStateData:           "CONTROLLER_GET_SYNC_STATE_DATA",
	ReqGetBrokerEpochCache:                  "GET_BROKER_EPOCH_CACHE",
	ReqNotifyBrokerRoleChanged:              "NOTIFY_BROKER_ROLE_CHANGED",
	ReqUpdateControllerConfig:               "UPDATE_CONTROLLER_CONFIG",
	ReqGetControllerConfig:                  "GET_CONTROLLER_CONFIG",
	ReqCleanBrokerData:                      "CLEAN_BROKER_DATA",
	ReqControllerGetNextBrokerID:            "CONTROLLER_GET_NEXT_BROKER_ID",
	ReqControllerApplyBrokerID:              "CONTROLLER_APPLY_BROKER_ID",
	ReqUpdateColdDataFlowCtrConfig:          "UPDATE_COLD_DATA_FLOW_CTR_CONFIG",
	ReqRemoveColdDataFlowCtrConfig:          "REMOVE_COLD_DATA_FLOW_CTR_CONFIG",
	ReqGetColdDataFlowCtrInfo:               "GET_COLD_DATA_FLOW_CTR_INFO",
	ReqSetCommitLogReadMode:                 "SET_COMMITLOG_READ_MODE",
	ReqAuthCreateUser:                       "AUTH_CREATE_USER",
	ReqAuthUpdateUser:                       "AUTH_UPDATE_USER",
	ReqAuthDeleteUser:                       "AUTH_DELETE_USER",
	ReqAuthGetUser:                          "AUTH_GET_USER",
	ReqAuthListUser:                         "AUTH_LIST_USER",
	ReqAuthCreateACL:                        "AUTH_CREATE_ACL",
	ReqAuthUpdateACL:                        "AUTH_UPDATE_ACL",
	ReqAuthDeleteACL:                        "AUTH_DELETE_ACL",
	ReqAuthGetACL:                           "AUTH_GET_ACL",
	ReqAuthListACL:                          "AUTH_LIST_ACL",
	ReqSwitchTimerEngine:                    "SWITCH_TIMER_ENGINE",
	ReqPopMessage:                           "POP_MESSAGE",
	ReqAckMessage:                           "ACK_MESSAGE",
	ReqPeekMessage:                          "PEEK_MESSAGE",
	ReqChangeMessageInvisibleTime:           "CHANGE_MESSAGE_INVISIBLETIME",
	ReqNotification:                         "NOTIFICATION",
	ReqPollingInfo:                          "POLLING_INFO",
	ReqPopRollback:                          "POP_ROLLBACK",
	ReqPopLiteMessage:                       "POP_LITE_MESSAGE",
	ReqLiteSubscriptionCtl:                  "LITE_SUBSCRIPTION_CTL",
	ReqAckLiteMessage:                       "ACK_LITE_MESSAGE",
	ReqNotifyUnsubscribeLite:                "NOTIFY_UNSUBSCRIBE_LITE",
	ReqGetBrokerLiteInfo:                    "GET_BROKER_LITE_INFO",
	ReqGetParentTopicInfo:                   "GET_PARENT_TOPIC_INFO",
	ReqGetLiteTopicInfo:                     "GET_LITE_TOPIC_INFO",
	ReqGetLiteClientInfo:                    "GET_LITE_CLIENT_INFO",
	ReqGetLiteGroupInfo:                     "GET_LITE_GROUP_INFO",
	ReqTriggerLiteDispatch:                  "TRIGGER_LITE_DISPATCH",
	ReqBatchAckMessage:                      "BATCH_ACK_MESSAGE",
	ReqLiftoffQueueState:                    "LIFTOFF_QUEUE_STATE",
}

// RequestName returns Apache's name of a request code ("SEND_MESSAGE_V2" for 310), or "UNKNOWN".
func RequestName(code int) string {
	if n, ok := requestNames[code]; ok {
		return n
	}
	return "UNKNOWN"
}

// Response codes of Apache RocketMQ 5.5.0; clients decide by them whether to retry, and where. Do not change.
const (
	CodeSuccess                              = 0    // done
	CodeSystemError                          = 1    // unexpected failure; remark tells
	CodeSystemBusy                           = 2    // thread pool rejected or queue waited too long (flow control)
	CodeRequestCodeNotSupported              = 3    // no processor for that code
	CodeTransactionFailed                    = 4    // transaction failed (not used now)
	CodeFlushDiskTimeout                     = 10   // stored, but disk flush did not end in syncFlushTimeout
	CodeSlaveNotAvailable                    = 11   // stored; no slave (4.x sync master; in 5.5 only from a slave refusing 37 and from escape paths)
	CodeFlushSlaveTimeout                    = 12   // stored; slave ack did not come in slaveTimeout
	CodeMessageIllegal                       = 13   // message refused: size, properties, topic rules
	CodeServiceNotAvailable                  = 14   // store not writable: disk full, slave, shutting down, page cache busy uses 2
	CodeVersionNotSupported                  = 15   // client too old
	CodeNoPermission                         = 16   // no permission / feature off / config black-listed
	CodeTopicNotExist                        = 17   // topic unknown (also: no route)
	CodeTopicExistAlready                    = 18   // (reserved) topic is there already
	CodePullNotFound                         = 19   // no new message; client polls again
	CodePullRetryImmediately                 = 20   // queue data not ready or filtered away; pull again at once from nextBeginOffset
	CodePullOffsetMoved                      = 21   // offset out of range; client resets to nextBeginOffset
	CodeQueryNotFound                        = 22   // nothing found (offset, key, kv)
	CodeSubscriptionParseFailed              = 23   // filter expression does not parse
	CodeSubscriptionNotExist                 = 24   // group has no subscription on that topic
	CodeSubscriptionNotLatest                = 25   // broker holds an older subscription version
	CodeSubscriptionGroupNotExist            = 26   // subscription group unknown
	CodeFilterDataNotExist                   = 27   // SQL filter data unknown
	CodeFilterDataNotLatest                  = 28   // SQL filter data older than asked
	CodeInvalidParameter                     = 29   // bad parameter
	CodeTransactionShouldCommit              = 200  // (client side) commit
	CodeTransactionShouldRollback            = 201  // (client side) roll back
	CodeTransactionStateUnknow               = 202  // (client side) unknown
	CodeTransactionStateGroupWrong           = 203  // producer group of half message differs
	CodeNoBuyerID                            = 204  // no buyer id
	CodeNotInCurrentUnit                     = 205  // other unit
	CodeConsumerNotOnline                    = 206  // consumer not on line
	CodeConsumeMsgTimeout                    = 207  // direct consume timed out
	CodeNoMessage                            = 208  // nothing there (ack/invisible on unknown offset)
	CodePollingFull                          = 209  // too many waiting pop polls
	CodePollingTimeout                       = 210  // pop poll ended without a message
	CodeBrokerNotExist                       = 211  // broker unknown
	CodeBrokerDispatchNotComplete            = 212  // dispatch behind
	CodeBroadcastConsumption                 = 213  // group consumes in broadcast mode
	CodeFlowControl                          = 215  // flow control (proxy, broker limits)
	CodeNotLeaderForQueue                    = 501  // this broker does not lead that logic queue
	CodeIllegalOperation                     = 604  // operation not allowed
	CodeGoAway                               = 1500 // server closes soon; client reconnects and retries (5.x clients)
	CodeControllerFencedMasterEpoch          = 2000 // master epoch stale
	CodeControllerFencedSyncStateSetEpoch    = 2001 // sync-state-set epoch stale
	CodeControllerInvalidMaster              = 2002 // caller is not the master
	CodeControllerInvalidReplicas            = 2003 // replica set not valid
	CodeControllerMasterNotAvailable         = 2004 // no master now
	CodeControllerInvalidRequest             = 2005 // request not valid
	CodeControllerBrokerNotAlive             = 2006 // broker not alive
	CodeControllerNotLeader                  = 2007 // this controller is not leader
	CodeControllerBrokerMetadataNotExist     = 2008 // no metadata of that broker set
	CodeControllerInvalidCleanBrokerMetadata = 2009 // cannot clean that metadata
	CodeControllerBrokerNeedToBeRegistered   = 2010 // broker must register first
	CodeControllerMasterStillExist           = 2011 // a master still lives
	CodeControllerElectMasterFailed          = 2012 // no master could be elected
	CodeControllerAlterSyncStateSetFailed    = 2013 // sync-state-set change refused
	CodeControllerBrokerIDInvalid            = 2014 // broker id taken or wrong check code
	CodeControllerJraftInternalError         = 2015 // jraft failed
	CodeControllerBrokerLiveInfoNotExists    = 2016 // no heart-beat data of that broker
	CodeLmqQuotaExceeded                     = 2017 // light queue limit reached
	CodeLiteSubscriptionQuotaExceeded        = 2018 // lite subscription limit reached
	CodeUserNotExist                         = 3001 // user unknown
	CodePolicyNotExist                       = 3002 // policy unknown
)
