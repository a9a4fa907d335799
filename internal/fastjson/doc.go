// Package fastjson reads and writes JSON as RocketMQ's Java side does.
//
// Java's side reads with a forgiving parser, and every client has grown up with that; it writes maps with integer keys
// bare, which is not JSON. So, reading:
//
//   - keys may be bare words or numbers, strings in single quotes, commas trailing, comments between;
//   - what is text may stand for a number or a boolean and the other way round ("subVersion":"17" comes from C++ clients);
//   - null leaves a value as it is, unknown fields are skipped;
//   - an object as a key becomes a string of its JSON (see protocol.QueueTable).
//
// Writing: fields in alphabetical order, nothing for a nil pointer, map, slice or interface, no HTML escapes, and maps with
// integer keys with bare keys ([Marshal]), with quoted ones for newer clients ([MarshalStandard]), or bare and indented
// as the files in config/ are ([MarshalIndent]).
//
// Struct tags are those of encoding/json, and json.Marshaler and json.Unmarshaler are honoured.
//
//	standard.go  Standard: any of the above to standard JSON
//	decode.go    Unmarshal
//	encode.go    Marshal and its relatives
//	fields.go    the fields of a struct
package fastjson
