// Puts, browses, gets and moves messages of a Trimaran cluster, over nothing but gRPC and the published protos.
//
//	sample put HA.QUEUE < lines        a message a line, each stored once
//	sample browse HA.QUEUE
//	sample get HA.QUEUE
//	sample move HA.QUEUE OTHER.QUEUE   all messages, each in a unit of work
//
// `sample -help` has the options, which come first. README.md, one folder up, says how pb is generated and what is to be
// seen. cluster.go finds the node that serves; here is what is done there.
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"trimaran.example/sample/pb/messagev1"
	"trimaran.example/sample/pb/queuev1"
)

func main() {
	connect := flag.String("connect", "127.0.0.1:7201,127.0.0.1:7202,127.0.0.1:7203", "`HOST:PORT,...`")
	queueManager := flag.String("queue-manager", "", "`NAME`; not needed when the cluster has only one")
	var files tlsFiles
	flag.StringVar(&files.authority, "tls-ca", "", "`FILE`; turns TLS on")
	flag.StringVar(&files.certificate, "tls-cert", "", "`FILE`")
	flag.StringVar(&files.key, "tls-key", "", "`FILE`")
	flag.StringVar(&files.name, "tls-name", "", "`NAME` in the nodes' certificates, where it is not the host")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "sample [options] put|browse|get QUEUE\nsample [options] move QUEUE QUEUE")
		flag.PrintDefaults()
	}
	flag.Parse()
	wanted := map[string]int{"put": 1, "browse": 1, "get": 1, "move": 2}[flag.Arg(0)]
	if wanted == 0 || flag.NArg() != 1+wanted {
		flag.Usage()
		os.Exit(2)
	}

	transport, err := files.credentials()
	if err != nil {
		fail(err)
	}
	cluster := newCluster(strings.Split(*connect, ","), transport, *queueManager)
	defer cluster.close()
	ctx := context.Background()
	switch flag.Arg(0) {
	case "put":
		err = putLines(ctx, cluster, flag.Arg(1), os.Stdin)
	case "browse":
		err = browse(ctx, cluster, flag.Arg(1), func(message *messagev1.Message) { fmt.Println(string(message.Body)) })
	case "get":
		var message *messagev1.Message
		message, err = get(ctx, cluster, flag.Arg(1), 0)
		if err == nil {
			fmt.Println(string(message.Body))
		}
	case "move":
		var moved int
		moved, err = move(ctx, cluster, flag.Arg(1), flag.Arg(2))
		if err == nil {
			fmt.Println("moved", moved)
		}
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	if isReason(err, noMessage) {
		os.Exit(3)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// ---- single calls ----

func putLines(ctx context.Context, cluster *cluster, queue string, from io.Reader) error {
	producer := producer{cluster: cluster, name: fmt.Sprintf("sample-%x", newID())}
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		if err := producer.put(ctx, queue, lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	fmt.Println("put", producer.sequence)
	return nil
}

// A producer numbers its puts. A put that is made once more with its number is stored once.
type producer struct {
	cluster  *cluster
	name     string
	sequence uint64
}

func (p *producer) put(ctx context.Context, queue string, body []byte) error {
	p.sequence++
	request := &queuev1.PutRequest{
		QueueManager: p.cluster.queueManager,
		Queue:        queue,
		Message: &messagev1.Message{
			Mqmd: &messagev1.Descriptor{
				Format:      "MQSTR",
				Persistence: messagev1.Persistence_PERSISTENCE_PERSISTENT,
			},
			Body: body,
		},
		ProducerSequence: &queuev1.ProducerSequence{Producer: p.name, Sequence: p.sequence},
	}
	for {
		_, err := call(ctx, p.cluster, func(client queuev1.QueueClient) (*queuev1.PutResponse, error) {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			return client.Put(ctx, request)
		})
		if !errors.Is(err, errLost) {
			return err
		}
		request.ProducerSequence.Repeated = true
	}
}

// get takes the next message, or ends with reason 2033. The message is gone when the answer leaves: where none may be lost,
// see move.
func get(ctx context.Context, cluster *cluster, queue string, wait time.Duration) (*messagev1.Message, error) {
	request := &queuev1.GetRequest{
		QueueManager: cluster.queueManager,
		Queue:        queue,
		WaitMs:       int32(wait.Milliseconds()),
		MaxLength:    longest,
	}
	answer, err := call(ctx, cluster, func(client queuev1.QueueClient) (*queuev1.GetResponse, error) {
		return client.Get(ctx, request)
	})
	return answer.GetMessage(), err
}

// browse shows all messages, from the front. The last answer of the stream has the reason why there are no more.
func browse(ctx context.Context, cluster *cluster, queue string, show func(*messagev1.Message)) error {
	request := &queuev1.BrowseRequest{QueueManager: cluster.queueManager, Queue: queue}
	var answers queuev1.Queue_BrowseClient
	answer, err := call(ctx, cluster, func(client queuev1.QueueClient) (*queuev1.BrowseResponse, error) {
		var err error
		if answers, err = client.Browse(ctx, request); err != nil {
			return nil, err
		}
		return answers.Recv()
	})
	for err == nil {
		show(answer.Message)
		if answer, err = answers.Recv(); err == nil {
			err = refusal(answer.Outcome)
		}
	}
	if isReason(err, noMessage) {
		return nil
	}
	return err
}

// ---- units of work, over a session ----

// move takes all messages of one queue to another, each exactly once, whatever happens to the nodes meanwhile.
func move(ctx context.Context, cluster *cluster, source, target string) (int, error) {
	count := 0
	var session *session
	defer func() { session.close() }()
	for {
		unit := newID()
		err := ensure(ctx, cluster, &session, source, target)
		if err == nil {
			err = moveOne(session, unit)
		}
		switch {
		case err == nil:
			count++
		case isReason(err, noMessage):
			return count, nil
		case errors.Is(err, errLost):
			// The unit went with the node, and is begun again; unless its commit was sent: then it is asked for.
			if session != nil && session.committing {
				committed, err := wasCommitted(ctx, cluster, unit, session.decidedThen)
				if err != nil {
					return count, err
				}
				if committed {
					count++
				}
			}
			session.close()
			session = nil
		default:
			return count, err
		}
	}
}

// ensure opens a session with the source under handle 1 and the target under 2, if there is none.
func ensure(ctx context.Context, cluster *cluster, open **session, source, target string) error {
	if *open != nil {
		return nil
	}
	session, err := connect(ctx, cluster)
	if err != nil {
		return err
	}
	*open = session
	from := &queuev1.Open{Handle: 1, Queue: source, Input: true}
	if _, err := session.call(&queuev1.Call{Call: &queuev1.Call_Open{Open: from}}); err != nil {
		return err
	}
	to := &queuev1.Open{Handle: 2, Queue: target, Output: true}
	_, err = session.call(&queuev1.Call{Call: &queuev1.Call_Open{Open: to}})
	return err
}

func moveOne(session *session, unit []byte) error {
	get := &queuev1.Get{Handle: 1, Syncpoint: true, MaxLength: 1 << 20}
	got, err := session.call(&queuev1.Call{Call: &queuev1.Call_Get{Get: get}})
	if err != nil {
		return err
	}
	put := &queuev1.Put{To: &queuev1.Put_Handle{Handle: 2}, Syncpoint: true, Message: got.GetGot().Message}
	if _, err := session.call(&queuev1.Call{Call: &queuev1.Call_Put{Put: put}}); err != nil {
		return err
	}
	return session.commit(unit)
}

func wasCommitted(ctx context.Context, cluster *cluster, unit []byte, decided uint64) (bool, error) {
	asked := &queuev1.UnitOutcome{UnitId: unit, UnitsDecided: decided}
	for {
		session, err := connect(ctx, cluster)
		var completion *queuev1.Completion
		if err == nil {
			completion, err = session.call(&queuev1.Call{Call: &queuev1.Call_UnitOutcome{UnitOutcome: asked}})
			session.close()
		}
		switch {
		case errors.Is(err, errLost):
			continue
		case err != nil:
			return false, err
		case completion.GetUnit().State == queuev1.UnitStatus_STATE_FORGOTTEN:
			return false, fmt.Errorf("nobody knows any more whether unit %x was committed: look before it is done again", unit)
		}
		return completion.GetUnit().State == queuev1.UnitStatus_STATE_COMMITTED, nil
	}
}

func newID() []byte {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		panic(err)
	}
	return id
}
