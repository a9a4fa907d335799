// Package namesrv is the NameServer: which topics are on which brokers, and which brokers live. It keeps all of it in
// memory, as brokers tell it, and knows no other NameServer; only the KV configuration is on disk.
//
//	server.go    Server: its life, the search for silent brokers
//	handlers.go  the table of request codes
//	routes.go    the tables of topics, broker groups and live brokers, under one lock
//	gone.go      what was there and is not any more, so that "no route" can say why
//	register.go  103 104 322 904: brokers come, speak and go
//	route.go     105: where a topic is
//	topic.go     206 216 217 224 304 311-313
//	cluster.go   106 205 327 901
//	kv.go        100 101 102 219 and kvConfig.json
//	nsconfig.go  318 319
//	notify.go    905 to brokers
//
// # The route query
//
// Clients ask for routes all the time, brokers change them seldom. So a topic keeps its route as the bytes of the answer,
// in both dialects, from the first query until something that it shows changes; a query is a map lookup and a copy.
//
// # Goroutines
//
//	Server.scanLoop      owner Server   ticks while brokers are registered; ends at Close
//	Server.notify        owner Server   one a notice and broker, for 3 s at most
//	remoting's           owner Server   see package remoting; requests are served where their connection is
package namesrv
