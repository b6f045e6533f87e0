// Command ociserver serves a complete OCI registry from memory on the address it is given; with a
// second argument, one whose tags cannot be moved.
package main

import (
	"log"
	"net"
	"net/http"
	"os"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
)

func main() {
	listening, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("listening on %s", listening.Addr())
	log.Fatal(http.Serve(listening, ociserver.New(ocimem.NewWithConfig(&ocimem.Config{ImmutableTags: len(os.Args) > 2}), nil)))
}
