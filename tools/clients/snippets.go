// Package clients names what the Go snippets of docs/consumers import, so that `go mod tidy` keeps it.
package clients

import _ "github.com/openai/openai-go/v3"
