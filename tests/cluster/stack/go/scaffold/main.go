// scaffold: what a whole cluster has and this one does without, as far as the rest of it must have an answer.
//
//	scaffold dns ADDR IP          answers every A question with IP and every other one with nothing
//	scaffold forward ADDR TARGET  takes TCP connections at ADDR on to TARGET
//
// dns and a forward stand in for cluster DNS and Services where the autoscaler asks
// http://<revision>.<ns>.svc.cluster.local/healthz whether the activator answers there, before it scales a revision
// to zero. Another forward is the Service "kubernetes": pods find the API server at its cluster IP.
package main

import (
	"io"
	"log"
	"net"
	"os"
)

func main() {
	switch os.Args[1] {
	case "dns":
		dns(os.Args[2], net.ParseIP(os.Args[3]).To4())
	case "forward":
		forward(os.Args[2], os.Args[3])
	}
}

func dns(addr string, ip net.IP) {
	conn, err := net.ListenPacket("udp", addr)
	if err != nil {
		log.Fatal(err)
	}
	buf := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			log.Fatal(err)
		}
		if out := answer(buf[:n], ip); out != nil {
			conn.WriteTo(out, from)
		}
	}
}

// answer a question (RFC 1035, 4.1) about one name; nil where the packet is none
func answer(packet []byte, ip net.IP) []byte {
	end := 12 // header, then the name of the first question
	for end < len(packet) && packet[end] != 0 {
		end += int(packet[end]) + 1
	}
	end += 5 // root label, type, class
	if len(packet) < 17 || end > len(packet) {
		return nil
	}
	out := append([]byte{packet[0], packet[1], 0x84, 0, 0, 1, 0, 0, 0, 0, 0, 0}, packet[12:end]...)
	if packet[end-4] == 0 && packet[end-3] == 1 {
		out[7] = 1
		out = append(out, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4)
		out = append(out, ip...)
	}
	return out
}

func forward(addr, target string) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	for {
		from, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go join(from.(*net.TCPConn), target)
	}
}

func join(from *net.TCPConn, target string) {
	defer from.Close()
	conn, err := net.Dial("tcp", target)
	if err != nil {
		return // the caller sees a closed connection
	}
	to := conn.(*net.TCPConn)
	defer to.Close()
	back := make(chan struct{})
	go func() {
		io.Copy(from, to)
		from.CloseWrite()
		close(back)
	}()
	io.Copy(to, from)
	to.CloseWrite()
	<-back
}
