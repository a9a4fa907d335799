package config

import (
	"math"
	"time"
)

// Server is what a broker and a NameServer have in common: how they listen.
type Server struct {
	// BindAddress is the address to listen on. Default 0.0.0.0, every address of the host.
	BindAddress string `prop:"bindAddress,restart"`
	// ListenPort is the TCP port; 0 lets the system choose one. Default 10911 for a broker, 9876 for a NameServer.
	ListenPort int `prop:"listenPort,restart,important"`
	// IdleMax closes a connection on which nothing was read or written for so long; 0 never. Default 120 s.
	IdleMax time.Duration `prop:"serverChannelMaxIdleTimeSeconds,s,restart"`
	// FrameMax is the largest request or answer that is read, in bytes, with everything that belongs to it. Clients have the same
	// limit: Java's take it from the system property of this name. Default 16 MiB.
	FrameMax int `prop:"com.rocketmq.remoting.frameMaxLength,restart"`
	// Log says what is logged, and where to.
	Log Log
	// TLS says whether and how connections are encrypted.
	TLS TLS
}

// frameMaxKey is a system property of Java in RocketMQ.
const frameMaxKey = "com.rocketmq.remoting.frameMaxLength"

// headerRoom is what a frame with one message needs besides the body, at most: 32 KiB of properties, and names.
const headerRoom = 64 << 10

func defaultServer(port int) Server {
	return Server{
		BindAddress: "0.0.0.0",
		ListenPort:  port,
		IdleMax:     120 * time.Second,
		FrameMax:    16 << 20,
		Log:         defaultLog(),
		TLS:         defaultTLS(),
	}
}

// IdleTimeout is the longest silence on a connection, negative when there is none: RocketMQ takes 0 and less for never.
func (s *Server) IdleTimeout() time.Duration {
	if s.IdleMax <= 0 {
		return -1
	}
	return s.IdleMax
}

func (s *Server) validate(v *validation) {
	if hasPort(s.BindAddress) {
		v.wrong("bindAddress", s.BindAddress, "an address or a name without a port; that is in listenPort")
	}
	v.within("listenPort", int64(s.ListenPort), 0, 65535)
	v.within(frameMaxKey, int64(s.FrameMax), headerRoom, math.MaxInt32)
	s.Log.validate(v)
	s.TLS.validate(v)
}
