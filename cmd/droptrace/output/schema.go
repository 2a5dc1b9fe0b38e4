package output

import _ "embed"

// A test holds the schema and the structs together, field by field.
//
//go:embed schema.json
var schema string

// Schema returns the JSON schema (draft 2020-12) of every record that JSON
// prints.
func Schema() string { return schema }
