package config

import "time"

// Server is what a broker and a NameServer have in common: how they listen.
type Server struct {
	// BindAddress is the address to listen on. Default 0.0.0.0, every address of the host.
	BindAddress string `prop:"bindAddress,restart"`
	// ListenPort is the TCP port; 0 lets the system choose one. Default 10911 for a broker, 9876 for a NameServer.
	ListenPort int `prop:"listenPort,restart,important"`
	// IdleMax closes a connection on which nothing was read or written for so long. Default 120 s.
	IdleMax time.Duration `prop:"serverChannelMaxIdleTimeSeconds,s,restart"`
	// Log says what is logged, and where to.
	Log Log
	// TLS says whether and how connections are encrypted.
	TLS TLS
}

func defaultServer(port int) Server {
	return Server{
		BindAddress: "0.0.0.0",
		ListenPort:  port,
		IdleMax:     120 * time.Second,
		Log:         defaultLog(),
		TLS:         defaultTLS(),
	}
}

func (s *Server) validate(v *validation) {
	v.within("listenPort", int64(s.ListenPort), 0, 65535)
	v.atLeast("serverChannelMaxIdleTimeSeconds", int64(s.IdleMax/time.Second), 1)
	s.Log.validate(v)
	s.TLS.validate(v)
}
