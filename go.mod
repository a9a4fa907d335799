module github.com/liftoffmq/liftoff

go 1.26

require (
	github.com/DeRuina/timberjack v1.4.9
	github.com/spf13/cobra v1.10.2
)

require (
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/klauspost/compress v1.18.7 // indirect
	github.com/spf13/pflag v1.0.9 // indirect
)
