// Command oddregistry serves a registry that lists referrers and never says OCI-Subject.
package main

import (
	"log"
	"net"
	"net/http"
	"os"

	"github.com/google/go-containerregistry/pkg/registry"
)

func main() {
	listening, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("listening on %s", listening.Addr())
	log.Fatal(http.Serve(listening, registry.New(registry.WithReferrersSupport(true))))
}
