// Package lint has no code, only tests that read the source: imports keep to the rows of ARCHITECTURE.md, exported names
// have comments, and a setting that is said to be acted on is.
package lint
