//go:build !unix

package main

func explainOwner(err error) error { return err }
